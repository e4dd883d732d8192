"""How old a reader's responses are: measured by rows written for the purpose, and by the reader's own heartbeats.

Every row is a tweet of one user, so a count of n says that the first n are visible. Knows nothing of what is in
between.
"""

import json
import time
from abc import abstractmethod
from http.client import HTTPConnection, HTTPException

import psycopg

from shared.threads import BackgroundThread

USER = -1
# Negative ids are out of the way of the load that runs meanwhile, which deletes the newest tweets and any likes.
TWEET = f"INSERT INTO tweets (tweet_id, text, user_id) VALUES (%s, 'probe', {USER})"
NEW_USER = f"INSERT INTO users (user_id, username) VALUES ({USER}, 'probe')"

INSERT_SECONDS = 0.2
ASK_SECONDS = 0.025
METRIC_SECONDS = 0.1
AGE = "reader_heartbeat_age_seconds "


class RepeatedTask(BackgroundThread):
    """Does something at fixed intervals; an error ends it.

    Args:
        name: of the thread.
        every_seconds: from one time to the next.
    """

    def __init__(self, name: str, every_seconds: float) -> None:
        super().__init__(name)
        self._every = every_seconds
        self.error: Exception | None = None
        """What ended it, written by the thread alone."""

    def _run(self) -> None:
        due = time.monotonic()
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._every, time.monotonic())
            try:
                self.run_once()
            except Exception as error:  # noqa: BLE001 - the measurement reports it
                self.error = error
                return

    @abstractmethod
    def run_once(self) -> None:
        """Do it once; called in the thread."""


class TweetWriter(RepeatedTask):
    """Writes rows on a clock.

    Args:
        dsn: the database.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__("tweets", INSERT_SECONDS)
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute(NEW_USER)
        self.made_at: list[float] = []

    def run_once(self) -> None:
        """Write one, and note when it was committed, by the wall clock."""
        self._connection.execute(TWEET, [-1 - len(self.made_at)])
        self.made_at.append(time.time())


class CountProbe(RepeatedTask):
    """Asks one reader how many of the tweets it knows.

    Args:
        port: of the reader.
        tweets: writes them.
    """

    def __init__(self, port: int, tweets: TweetWriter) -> None:
        super().__init__(f"probe of {port}", ASK_SECONDS)
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._tweets = tweets
        self._visible = 0
        self.latencies: list[tuple[float, float]] = []
        self.ages: list[tuple[float, float]] = []

    def run_once(self) -> None:
        """Note the time, how long each tweet took that is visible now, and how old the oldest invisible one is."""
        answer = _get(self._connection, f"/users/{USER}")
        now, made_at = time.time(), list(self._tweets.made_at)
        count = int(json.loads(answer).get("tweetCount", 0))
        count = min(count, len(made_at))  # a tweet may be visible before its commit has been noted
        self.latencies += [(now, now - at) for at in made_at[self._visible : count]]
        self._visible = max(count, self._visible)
        self.ages.append((now, now - made_at[self._visible] if self._visible < len(made_at) else 0.0))


class HeartbeatProbe(RepeatedTask):
    """Asks one reader how old its slowest partition's newest heartbeat is.

    Args:
        port: of the reader.
    """

    def __init__(self, port: int) -> None:
        super().__init__(f"heartbeats of {port}", METRIC_SECONDS)
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._newest_at = 0.0
        self.ages: list[tuple[float, float]] = []
        self.arrivals: list[tuple[float, float]] = []

    def run_once(self) -> None:
        """Note (time, age), and in `arrivals` too where a newer heartbeat has come."""
        text = _get(self._connection, "/metrics").decode()
        now = time.time()
        lines = [line.removeprefix(AGE) for line in text.splitlines() if line.startswith(AGE)]
        if not lines:
            return
        age = float(lines[0])
        self.ages.append((now, age))
        if now - age > self._newest_at + 0.2:
            self._newest_at = now - age
            self.arrivals.append((now, age))


def count_seconds_above(ages: list[tuple[float, float]], limit: float, every_seconds: float) -> float:
    """Return for how long an age was above a limit, as seen by samples taken at intervals.

    Args:
        ages: (when, age), in order.
        limit: seconds.
        every_seconds: between samples; each covers the time since the one before.
    """
    above, seen_at = 0.0, ages[0][0] if ages else 0.0
    for when, age in ages:
        if when - seen_at < every_seconds:
            continue
        above += when - seen_at if age > limit else 0.0
        seen_at = when
    return above


def _get(connection: HTTPConnection, path: str) -> bytes:
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, HTTPException):
        connection.close()
        raise
