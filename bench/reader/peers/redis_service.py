"""Cache-aside: out of Redis where it has the user, else out of PostgreSQL and into Redis for a while.

`python -m bench.reader.peers.redis_service PORT REDIS_PORT POSTGRES_URL`. The cached value is what is sent, so that a
hit parses and builds no JSON; that there is no such user is cached too.
"""

import sys
from typing import cast

from redis.asyncio import Redis

from bench.reader.peers import postgres_service
from bench.reader.peers.serving import Lookup, build_application, serve

TTL_SECONDS = 600
NOBODY = b""


async def connect(redis_port: int, url: str) -> Lookup:
    """Return a look-up in a cache before a database.

    Args:
        redis_port: of 127.0.0.1.
        url: where the database is.
    """
    redis = Redis(host="127.0.0.1", port=redis_port)
    in_postgres = await postgres_service.connect(url)

    async def lookup(user_id: int) -> bytes | None:
        key = b"user:%d" % user_id
        cached = cast("bytes | None", await redis.get(key))
        if cached is None:
            cached = await in_postgres(user_id) or NOBODY
            await redis.set(key, cached, ex=TTL_SECONDS)
        return cached or None

    return lookup


if __name__ == "__main__":
    serve(build_application(lambda: connect(int(sys.argv[2]), sys.argv[3])), int(sys.argv[1]))
