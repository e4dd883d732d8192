"""What a user-info record is: its fields, its counts, its identifiers.

The tables, the columns that are read, and which counts a row raises are defined here once, so all programs agree on
them. Knows nothing of Kafka, of JSON libraries, or of storage.
"""

from dataclasses import dataclass

from shared.unavailable import DEFAULT_PLACEHOLDER, Placeholder

MAX_ID_BYTES = 511
"""LMDB's limit for a key, and therefore the limit for an id, in UTF-8 bytes."""

RESERVED_KEY_PREFIX = b"\xff"
"""No UTF-8 text begins with this byte. Keys of `user-info` that begin with it belong to the service, not to users."""

OLDEST_CHANGE_HEADER = "oldest-change-ms"
"""Header of a user-info record: source time of the oldest change that it shows for the first time, decimal epoch ms."""

PROFILE_COLUMNS = {
    "username": "username",
    "name": "name",
    "description": "description",
    "location": "location",
    "web_page_url": "webPageUrl",
    "joined_date": "joinedDate",
    "profile_image_url": "profileImageUrl",
    "background_image_url": "backgroundImageUrl",
}
"""Column of `users` -> key of the record, in the record's order."""

COUNT_KEYS = ("tweetCount", "followingCount", "followerCount", "likeCount")
"""Keys of the four counts, in the record's order; a count's position here is its index everywhere."""


Counts = tuple[int, int, int, int]
"""The four counts, in the order of COUNT_KEYS."""

Profile = tuple[str | None, ...]
"""Values of PROFILE_COLUMNS in their order; one may be UNAVAILABLE until the last known one replaces it."""


@dataclass(frozen=True, slots=True)
class Table:
    """One source table.

    Args:
        name: the table's name, also its topic's default name.
        primary_key: the column that identifies a row.
        owners: the columns that name the users whose counts the row raises; none for `users` itself.
        counts: for each owner column, the index in COUNT_KEYS of the count that it raises.
        placeholder: what stands for a value that the source left out.
    """

    name: str
    primary_key: str
    owners: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    placeholder: Placeholder = DEFAULT_PLACEHOLDER


USERS = Table("users", "user_id")
TWEETS = Table("tweets", "tweet_id", owners=("user_id",), counts=(0,))
FOLLOWS = Table("follows", "follow_id", owners=("follower_id", "followee_id"), counts=(1, 2))
LIKES = Table("likes", "like_id", owners=("user_id",), counts=(3,))

TABLES = (USERS, TWEETS, FOLLOWS, LIKES)
