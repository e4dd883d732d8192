"""What a record of `user-info` is, whatever the view: its identifiers and its header.

Knows nothing of Kafka, of JSON libraries, or of storage.
"""

from urllib.parse import unquote_to_bytes

from shared.view.model import BUILT_IN

MAX_ID_BYTES = 511
"""LMDB's limit for a key, and therefore the limit for an id, in UTF-8 bytes."""

RESERVED_KEY_PREFIX = b"\xff"
"""No UTF-8 text begins with this byte. Keys of `user-info` that begin with it belong to the service, not to users."""

OLDEST_CHANGE_HEADER = "oldest-change-ms"
"""Header of a user-info record: source time of the oldest change that it shows for the first time, decimal epoch ms."""

PROFILE_COLUMNS = {field.column: field.key for field in BUILT_IN.fields}
"""Column of `users` -> key of the record, in the record's order, where no view is declared."""

COUNT_KEYS = tuple(aggregate.key for aggregate in BUILT_IN.aggregates)
"""Keys of the counts, in the record's order, where no view is declared."""


def decode_user_id(encoded: bytes) -> bytes | None:
    """Return the id that a path segment names, in UTF-8; None if no record can have that id.

    Args:
        encoded: the segment, percent-encoded.
    """
    user_id = unquote_to_bytes(encoded) if b"%" in encoded else encoded
    if not 0 < len(user_id) <= MAX_ID_BYTES:
        return None
    if not user_id.isascii():
        try:
            user_id.decode()
        except UnicodeDecodeError:
            return None
    return user_id
