"""Keeps changing rows at a rate: inserts, edits, moves to another owner, deletions."""

import random
import time
from collections.abc import Callable, Mapping

import psycopg

from shared.threads import BackgroundThread
from stack.errors import StackError

REPORT_SECONDS = 10.0

Changes = Mapping[str, tuple[int, str]]
"""Kind of change -> how often in a hundred, and the statement."""

# `random()` draws a row by its id, so a statement whose row is
# gone already changes nothing, as in production.
ANY_USER = "(SELECT (1 + floor(random() * last_value))::bigint FROM users_user_id_seq)"
CHANGES: Changes = {
    "like": (28, f"INSERT INTO likes (user_id, tweet_id) VALUES ({ANY_USER}, 1 + floor(random() * 1000)::bigint)"),
    "follow": (20, f"INSERT INTO follows (follower_id, followee_id) VALUES ({ANY_USER}, {ANY_USER})"),
    "tweet": (12, f"INSERT INTO tweets (text, user_id) VALUES ('written at ' || now(), {ANY_USER})"),
    "edit of a profile": (10, f"UPDATE users SET description = 'edited at ' || now() WHERE user_id = {ANY_USER}"),
    "unlike": (10, "DELETE FROM likes WHERE like_id = (SELECT like_id FROM likes TABLESAMPLE SYSTEM_ROWS (1))"),
    "unfollow": (
        8,
        "DELETE FROM follows WHERE follow_id = (SELECT follow_id FROM follows TABLESAMPLE SYSTEM_ROWS (1))",
    ),
    "edit of a tweet": (4, "UPDATE tweets SET text = text || '!' WHERE tweet_id = (SELECT max(tweet_id) FROM tweets)"),
    "deletion of a tweet": (3, "DELETE FROM tweets WHERE tweet_id = (SELECT max(tweet_id) FROM tweets)"),
    "like that changes hands": (
        2,
        f"UPDATE likes SET user_id = {ANY_USER} WHERE like_id = (SELECT max(like_id) FROM likes)",
    ),
    "departure": (1, "DELETE FROM users WHERE user_id = (SELECT max(user_id) FROM users)"),
    "new user": (2, "INSERT INTO users (username, name, joined_date) VALUES ('new', 'New Here', now())"),
}


def keep_changing(  # noqa: PLR0913 - what, where, how fast, how long, and who is told
    dsn: str,
    rate: float,
    seconds: float | None,
    say: Callable[[str], None],
    *,
    is_stopping: Callable[[], bool] = lambda: False,
    changes: Changes = CHANGES,
) -> int:
    """Change rows at a rate until the time is over, or for ever; return how many changes were made.

    Args:
        dsn: how to connect.
        rate: changes a second; each is a transaction of its own.
        seconds: for how long; None: until interrupted.
        say: called now and then with a line about the progress.
        is_stopping: returns whether to end early; called at least twice a second.
        changes: what is changed.
    """
    chance = random.Random()
    statements = [statement for _, statement in changes.values()]
    weights = [share for share, _ in changes.values()]
    done, began = 0, time.monotonic()
    report_at = began + REPORT_SECONDS
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS tsm_system_rows")
        while not is_stopping() and (seconds is None or time.monotonic() - began < seconds):
            late = began + done / rate - time.monotonic()
            if late > 0:
                time.sleep(min(late, 0.5))
                continue
            connection.execute(chance.choices(statements, weights)[0])
            done += 1
            if time.monotonic() > report_at:
                report_at += REPORT_SECONDS
                say(f"{done} changes in {time.monotonic() - began:.0f} s")
    return done


class Traffic(BackgroundThread):
    """A thread that keeps changing rows next to other work.

    Args:
        dsn: how to connect.
        rate: changes a second.
        say: called now and then with a line about the progress.
        changes: what is changed.
    """

    def __init__(self, dsn: str, rate: float, say: Callable[[str], None], changes: Changes = CHANGES) -> None:
        super().__init__("load")
        self._arguments = (dsn, rate, None, say)
        self._changes = changes
        self._error: psycopg.Error | None = None  # written by the thread, which then ends

    def check(self) -> None:
        """Check that rows keep changing.

        Raises:
            StackError: PostgreSQL refused a change, or went away.
        """
        if self._error is not None:
            raise StackError(f"the load has ended: {str(self._error).strip()}") from self._error

    def _run(self) -> None:
        try:
            keep_changing(*self._arguments, is_stopping=self.stopping.is_set, changes=self._changes)
        except psycopg.Error as error:
            self._error = error
