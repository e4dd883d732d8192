"""Which joiner answers for which part, as the group's ledger says. Pure.

The joiner that answers for a part claims it; of a part's claims the last one counts. A claim that is out of date
decides nothing: it sends a client to a joiner that knows by itself that it may not answer.
"""

import json
from typing import NamedTuple

from joiner.kafka.ledger import SERVES_PREFIX


class Claim(NamedTuple):
    """Who answers for a part.

    Args:
        instance: the joiner's id within its group.
        url: its address, without a slash at the end.
    """

    instance: str
    url: str

    def encode(self) -> bytes:
        """Return the claim as the ledger holds it: a JSON object; `parse_claim` reads it."""
        return json.dumps(self._asdict()).encode()


def claim_key(part: int) -> bytes:
    """Return the key of the note that says who answers for a part."""
    return SERVES_PREFIX + b"%d" % part


def parse_claim(key: bytes | None, value: bytes | None) -> tuple[int, Claim] | None:
    """Return the part and the claim that a note of the ledger holds; None if it is about something else."""
    if key is None or value is None or not key.startswith(SERVES_PREFIX):
        return None
    document = json.loads(value)
    return int(key.removeprefix(SERVES_PREFIX)), Claim(document["instance"], document["url"])
