"""The classic service: one user and four counts out of PostgreSQL for each request.

`python -m bench.reader.peers.postgres_service PORT POSTGRES_URL`. All five tables' parts are looked up through indexes
in one prepared statement, over a pool of connections.
"""

import sys
from collections.abc import Iterable

import asyncpg
import orjson

from bench.reader.peers.serving import Lookup, build_application, serve
from shared.records import COUNT_KEYS, PROFILE_COLUMNS

POOL = 8

FIELDS = ("userId", *PROFILE_COLUMNS.values(), *COUNT_KEYS)
COLUMNS = ", ".join("to_json(joined_date)#>>'{}'" if column == "joined_date" else column for column in PROFILE_COLUMNS)
EVERY_USER = f"""
SELECT user_id::text, {COLUMNS},
       (SELECT count(*) FROM tweets WHERE user_id = u.user_id),
       (SELECT count(*) FROM follows WHERE follower_id = u.user_id),
       (SELECT count(*) FROM follows WHERE followee_id = u.user_id),
       (SELECT count(*) FROM likes WHERE user_id = u.user_id)
FROM users u"""
ONE_USER = f"{EVERY_USER} WHERE user_id = $1"


async def connect(url: str) -> Lookup:
    """Return a look-up in a database.

    Args:
        url: where it is.
    """
    pool = await asyncpg.create_pool(url, min_size=POOL, max_size=POOL)

    async def lookup(user_id: int) -> bytes | None:
        row = await pool.fetchrow(ONE_USER, user_id)
        return None if row is None else build_body(row)

    return lookup


def build_body(row: Iterable[object]) -> bytes:
    """Return a row of EVERY_USER as the service answers it."""
    return orjson.dumps(dict(zip(FIELDS, row, strict=True)))


if __name__ == "__main__":
    serve(build_application(lambda: connect(sys.argv[2])), int(sys.argv[1]))
