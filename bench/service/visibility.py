"""How soon a change made at the keyboard is seen there: a like through psql, the user's count through curl.

Measures a service that `make run` keeps running, by the commands that it prints, from the change by PostgreSQL's clock
to the answer that first shows it. Knows nothing of what is in between.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import click

from bench.errors import MeasurementError
from bench.results import describe_machine, percentile, to_table
from shared.settings import read_settings
from stack.run import RunSettings

# Negative ids are out of the way of `make run`'s own load, which draws positive ones and moves the newest like.
USER = LIKE_ID = -1
NEW_USER = f"INSERT INTO users (user_id, username) VALUES ({USER}, 'visibility') ON CONFLICT DO NOTHING"
NOW = "extract(epoch FROM clock_timestamp())"
LIKE = f"INSERT INTO likes (like_id, user_id, tweet_id) VALUES ({LIKE_ID}, {USER}, 1) RETURNING {NOW}"
UNLIKE = f"DELETE FROM likes WHERE like_id = {LIKE_ID} RETURNING {NOW}"
PATIENCE_SECONDS = 30.0


@click.command()
@click.option("--tries", type=click.IntRange(min=1), default=20, show_default=True, help="How many likes.")
def visibility(tries: int) -> None:
    """How soon a like made by psql is answered to curl, and its deletion; needs `make run` in another terminal."""
    url = f"http://127.0.0.1:{read_settings(RunSettings).reader_port}/users/{USER}"
    try:
        run_psql(UNLIKE)
        run_psql(NEW_USER)
        await_likes(url, 0)
        seconds: dict[str, list[float]] = {"like": [], "deletion of the like": []}
        while len(seconds["deletion of the like"]) < tries:
            for name, statement, expected in (("like", LIKE, 1), ("deletion of the like", UNLIKE, 0)):
                printed = run_psql(statement).splitlines()
                if not printed:
                    break  # `make run LOAD=…` has deleted it by chance.
                seconds[name].append(await_likes(url, expected) - float(printed[0]))
    finally:
        run_psql(UNLIKE, f"DELETE FROM users WHERE user_id = {USER}")
    rows = [to_row(name, values) for name, values in seconds.items()]
    click.echo(f"{to_table(rows)}\n\nSeconds from the change to an answer by curl that shows it; {describe_machine()}.")


def to_row(name: str, seconds: list[float]) -> dict[str, object]:
    """Return a row of the table."""
    return {
        "change": name,
        "tries": len(seconds),
        "median": median(seconds),
        "p95": percentile(seconds, 95),
        "max": max(seconds),
    }


def run_psql(*statements: str) -> str:
    """Run statements as the printed command does; return what psql printed, without headings.

    Raises:
        MeasurementError: it failed.
    """
    options = [word for statement in statements for word in ("-c", statement)]
    return run_command(
        [sys.executable, "-m", "stack", "psql", "-A", "-t", "-q", *options], "start the service with `make run`"
    )


def await_likes(url: str, count: int) -> float:
    """Ask until a user has so many likes; return when that was answered, by the wall clock in seconds.

    Raises:
        MeasurementError: the count does not appear in time.
    """

    def shown() -> bool:
        answer = json.loads(run_command(["curl", "-s", url], "start the service with `make run`"))  # a 404 is JSON too
        return bool(answer.get("likeCount") == count)

    return await_true(shown, f"{url} does not show likeCount {count}")


def await_true(condition: Callable[[], bool], complaint: str) -> float:
    """Wait for a condition; return when it came true."""
    deadline = time.time() + PATIENCE_SECONDS
    while not condition():
        if time.time() > deadline:
            raise MeasurementError(f"{complaint} within {PATIENCE_SECONDS:g} s")
    return time.time()


def run_command(command: list[str], hint: str) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MeasurementError(f"{command[0]} ended with status {done.returncode}: {done.stderr.strip()}", hint=hint)
    return done.stdout
