"""What SQL says: the design's query over the final tables, in SQLite. Shares no code with the service."""

import json
import sqlite3
from collections.abc import Mapping, Sequence

SCHEMA = """
CREATE TABLE users (user_id TEXT PRIMARY KEY, username TEXT, name TEXT, description TEXT, location TEXT,
    web_page_url TEXT, joined_date TEXT, profile_image_url TEXT, background_image_url TEXT);
CREATE TABLE tweets (tweet_id TEXT PRIMARY KEY, user_id TEXT);
CREATE TABLE follows (follow_id TEXT PRIMARY KEY, follower_id TEXT, followee_id TEXT);
CREATE TABLE likes (like_id TEXT PRIMARY KEY, user_id TEXT);
"""

QUERY = """
SELECT user_id AS userId, username, name, description, location, web_page_url AS webPageUrl,
    joined_date AS joinedDate, profile_image_url AS profileImageUrl, background_image_url AS backgroundImageUrl,
    (SELECT count(*) FROM tweets  WHERE tweets.user_id      = users.user_id) AS tweetCount,
    (SELECT count(*) FROM follows WHERE follows.follower_id = users.user_id) AS followingCount,
    (SELECT count(*) FROM follows WHERE follows.followee_id = users.user_id) AS followerCount,
    (SELECT count(*) FROM likes   WHERE likes.user_id       = users.user_id) AS likeCount
FROM users
"""

COLUMNS = {
    "users": (
        "user_id username name description location web_page_url joined_date profile_image_url background_image_url"
    ),
    "tweets": "tweet_id user_id",
    "follows": "follow_id follower_id followee_id",
    "likes": "like_id user_id",
}


def expected_bodies(tables: Mapping[str, Sequence[Mapping[str, str | None]]]) -> dict[bytes, bytes]:
    """Return what the service should serve: user id -> body, for every user that is there."""
    with sqlite3.connect(":memory:") as database:
        database.executescript(SCHEMA)
        for table, rows in tables.items():
            columns = COLUMNS[table].split()
            places = ", ".join("?" for _ in columns)
            database.executemany(
                f"INSERT INTO {table} VALUES ({places})", [[row.get(column) for column in columns] for row in rows]
            )
        database.row_factory = sqlite3.Row
        found = [dict(row) for row in database.execute(QUERY)]
    database.close()
    return {
        record["userId"].encode(): json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        for record in found
    }
