"""`python -m sink`: names what to run. The rest is imported where a missing library can be reported."""

from shared import cli

if __name__ == "__main__":
    cli.run("sink.cli", install="pip install 'user-information-service[sink-postgres]'  # or [sink-redis]")
