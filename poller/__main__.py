"""`python -m poller`: names what to run. The rest is imported where a missing library can be reported."""

from shared import cli

if __name__ == "__main__":
    cli.run("poller.cli", install="pip install 'user-information-service[poller]'")
