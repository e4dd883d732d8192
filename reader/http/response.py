"""One HTTP response as bytes: status, header lines, body. Pure."""

from typing import NamedTuple


class Response(NamedTuple):
    """A complete response.

    Args:
        status: HTTP status code.
        head: header lines as they are sent, names in lower case, each with its line end.
        body: what follows the header lines; the sender leaves it out in reply to HEAD.
    """

    status: int
    head: bytes
    body: bytes

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header lines as pairs of name and value."""
        pairs = []
        for line in self.head.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b": ")
            pairs.append((name, value))
        return pairs
