"""`python -m bench`: names what to run. The rest is imported where a missing library can be reported."""

from shared import cli

if __name__ == "__main__":
    cli.run("bench.cli", install="make install, then .venv/bin/python -m bench")
