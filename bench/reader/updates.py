"""Updates that keep flowing: records of changed users at a rate, a transaction every tenth of a second.

Runs as a process of its own (`python -m bench.reader.updates`, a JSON object in) until SIGTERM, and then writes how
much it wrote, and what last, as another object.
"""

import json
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from bench.load.keys import FIRST_UNKNOWN, draw_ids
from bench.reader.topic import TRANSACTION_SECONDS, build_producer, invent_body, write_transaction

DRAWN = 100_000


@dataclass(frozen=True, slots=True)
class Updates:
    """What to write.

    Args:
        bootstrap_servers: where Kafka is.
        topic: its name.
        rate: records a second.
        users: how many users there are.
    """

    bootstrap_servers: str
    topic: str
    rate: float
    users: int


def write_updates(updates: Updates) -> dict[str, Any]:
    """Write until SIGTERM; return how many records were written, in how many seconds, and the last user and body."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    producer = build_producer(updates.bootstrap_servers, f"updates-{updates.topic}")
    ids = [user_id for user_id in draw_ids(updates.users, DRAWN, seed=2) if user_id < FIRST_UNKNOWN]
    each = max(1, round(updates.rate * TRANSACTION_SECONDS))
    written, last = 0, (0, b"")
    began = time.monotonic()
    while not stopped:
        chosen = [ids[number % len(ids)] for number in range(written, written + each)]
        batch = [(user_id, invent_body(user_id, written)) for user_id in chosen]
        write_transaction(producer, updates.topic, [(b"%d" % user_id, body) for user_id, body in batch])
        written, last = written + each, batch[-1]
        time.sleep(max(0.0, began + written / updates.rate - time.monotonic()))
    seconds = time.monotonic() - began
    return {"written": written, "seconds": seconds, "lastUser": last[0], "lastBody": last[1].decode()}


if __name__ == "__main__":
    json.dump(write_updates(Updates(**json.load(sys.stdin))), sys.stdout)
