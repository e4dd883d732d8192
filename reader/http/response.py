"""What an answer is: a status, header lines as they are sent, a body. Pure."""

from typing import NamedTuple


class Response(NamedTuple):
    """One answer, whole.

    Args:
        status: of HTTP.
        head: header lines as they are sent, names in lower case, each with its line end.
        body: what follows them; left out by whoever sends the answer to a HEAD request.
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
