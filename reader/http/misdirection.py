"""Requests for users whom a reader of another shard holds. Pure."""

from collections.abc import Iterable

from reader.http import problems
from reader.http.resource import Resource
from reader.http.response import Response
from shared.records import MAX_ID_BYTES
from shared.shards import Share


def find_misdirection(share: Share | None, user_ids: Iterable[bytes], resource: Resource) -> Response | None:
    """Return the 421 that names the users who are in another shard; None if there are none.

    Args:
        share: the part of the topic that the reader holds; None: all of it.
        user_ids: in UTF-8; one that no record can have is in no shard.
        resource: what the users are served as.
    """
    if share is None:
        return None
    elsewhere: dict[str, list[str]] = {}
    for user_id in user_ids:
        other = share.find_other_shard(user_id) if 0 < len(user_id) <= MAX_ID_BYTES else None
        if other is not None:
            elsewhere.setdefault(str(other), []).append(user_id.decode())
    return problems.other_shard(str(share.shard), resource.noun, elsewhere) if elsewhere else None
