"""The joiner's workload: rows of four tables with Zipf-like owners, written to Kafka, and the truth about them.

The same size and seed give the same rows in the same order. Counts are kept while rows are made, so that the truth
shares nothing with what is measured. Knows nothing of the joiner.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import orjson
from confluent_kafka import Producer

SHARES = {"users": 0.05, "tweets": 0.30, "follows": 0.40, "likes": 0.25}
"""Of a million rows: 50,000 users, 300,000 tweets, 400,000 follows, 250,000 likes."""

TWEETS, FOLLOWING, FOLLOWERS, LIKES = range(4)
COUNT_KEYS = ("tweetCount", "followingCount", "followerCount", "likeCount")

Row = tuple[str, bytes, bytes]
"""Topic, key, value."""


@dataclass
class Workload:
    """Rows to write, and what SQL would count over those written so far.

    Args:
        rows: how many in all, shared out over the tables as in `shares`.
        seed: of the owners' choice.
        counts: user id -> the aggregates in the order of `keys`; filled as rows are made.
    """

    rows: int
    seed: int = 1
    counts: dict[int, list[int]] = field(default_factory=dict)

    shares: ClassVar[Mapping[str, float]] = SHARES
    """Table -> its part of the rows; the record's own table is the first."""
    keys: ClassVar[tuple[str, ...]] = COUNT_KEYS
    """Keys of the record's aggregates."""
    view: ClassVar[str | None] = None
    """The view's file; None: the built-in view."""

    @property
    def settings(self) -> dict[str, str]:
        """What the joiners need besides."""
        return {}

    @property
    def sizes(self) -> dict[str, int]:
        """How many rows each table gets."""
        return {table: round(self.rows * share) for table, share in self.shares.items()}

    @property
    def users(self) -> int:
        """How many users there are; their ids are 1 and up."""
        return next(iter(self.sizes.values()))

    def all_rows(self) -> Iterator[Row]:
        """Yield every row, the tables mixed as their shares say, and count it."""
        chance = random.Random(self.seed)
        sizes = self.sizes
        self.counts = {user: [0] * len(self.keys) for user in range(1, self.users + 1)}
        order = [table for table in sizes for _ in range(sizes[table])]
        chance.shuffle(order)
        # Each row has at most two owners.
        owners = iter(draw_owners(chance, self.users, 2 * self.rows))
        numbers = {table: itertools.count(1) for table in sizes}
        for table in order:
            yield self._make_row(chance, table, next(numbers[table]), owners)

    def _make_row(self, chance: random.Random, table: str, number: int, owners: Iterator[int]) -> Row:  # noqa: ARG002
        if table == "users":
            return user_row(number, f"user{number}")
        owner = next(owners)
        if table == "tweets":
            self.counts[owner][TWEETS] += 1
            return tweet_row(number, owner)
        if table == "likes":
            self.counts[owner][LIKES] += 1
            return like_row(number, owner)
        followee = next(owners)
        self.counts[owner][FOLLOWING] += 1
        self.counts[followee][FOLLOWERS] += 1
        return follow_row(number, owner, followee)


def user_row(number: int, username: str) -> Row:
    """Return a row of users: some 330 bytes of profile."""
    row = {
        "user_id": number,
        "username": username,
        "name": f"Name {number}",
        "description": f"What user {number} says of herself, at the length that people like. " * 2,
        "location": "Reykjavík",
        "web_page_url": f"https://example.com/{number}",
        "joined_date": "2024-05-17T09:30:00.000000Z",
        "profile_image_url": f"https://images.example.com/profile/{number}.jpg",
        "background_image_url": None,
    }
    return "users", b"%d" % number, orjson.dumps(row)


def tweet_row(number: int, owner: int) -> Row:
    """Return a row of tweets."""
    row = {"tweet_id": number, "text": f"tweet {number} of somebody with something to say", "user_id": owner}
    return "tweets", b"%d" % number, orjson.dumps(row)


def like_row(number: int, owner: int) -> Row:
    """Return a row of likes."""
    return "likes", b"%d" % number, orjson.dumps({"like_id": number, "user_id": owner, "tweet_id": number})


def follow_row(number: int, follower: int, followee: int) -> Row:
    """Return a row of follows."""
    row = {"follow_id": number, "follower_id": follower, "followee_id": followee}
    return "follows", b"%d" % number, orjson.dumps(row)


def draw_owners(chance: random.Random, users: int, how_many: int) -> Sequence[int]:
    """Return user ids, the one of rank r chosen in proportion to 1/r; ranks are dealt out by chance."""
    ids = list(range(1, users + 1))
    chance.shuffle(ids)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, users + 1)))
    return chance.choices(ids, cum_weights=weights, k=how_many)


def build_producer(bootstrap_servers: str, **properties: object) -> Producer:
    """Return a producer like a connector's: idempotent, so in order, and partitioned as Java's are."""
    return Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "compression.type": "lz4",
            "linger.ms": 5,
            "queue.buffering.max.messages": 500_000,
            "log_level": 0,
            **properties,
        }
    )


def write_workload(bootstrap_servers: str, workload: Workload, progress: Callable[[int], None]) -> None:
    """Write every row to the source topics, and wait until they have arrived.

    Args:
        bootstrap_servers: where Kafka is.
        workload: what to write.
        progress: called now and then with the number of rows written.
    """
    client = build_producer(bootstrap_servers, **{"linger.ms": 50})
    for done, (topic, key, value) in enumerate(workload.all_rows(), 1):
        while True:
            try:
                client.produce(topic, value, key)
                break
            except BufferError:
                client.poll(0.1)
        if done % 50_000 == 0:
            client.poll(0)
            progress(done)
    client.flush()
    progress(workload.rows)
