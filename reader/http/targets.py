"""The four forms of a request's target (RFC 9112, section 3.2), of which two name something that the reader has.

Origin form is a path, as nearly all clients send it. Absolute form is a URL, as clients send it to a proxy; a server
must answer it too, like the path in it. Authority form (CONNECT) and asterisk form (OPTIONS *) name a host and the
whole server; they are refused.
"""

import re
from ipaddress import IPv6Address

from reader.http import problems
from reader.http.refusals import RefusedError

ABSOLUTE = re.compile(
    rb"https?://"
    rb"(?:\[([0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)"
    rb"(?::([0-9]{0,5}))?"
    rb"(?=[/?#]|\Z)",
    re.IGNORECASE,
)
"""A URL up to its path: scheme, host, port. A user's name in it is an error (RFC 9110, section 4.2.4)."""

MAX_PORT = 65_535


def to_origin_form(method: bytes, target: bytes) -> bytes:
    """Return the path and query that a target names.

    Args:
        method: of the request.
        target: as it was sent, in any form.

    Raises:
        RefusedError: it names none.
    """
    if method == b"CONNECT" or (method, target) == (b"OPTIONS", b"*"):
        raise RefusedError(problems.METHOD_NOT_ALLOWED_CLOSE)
    if target.startswith(b"/"):
        return target
    found = ABSOLUTE.match(target)
    if found is None or not _is_authority(*found.groups()):
        raise RefusedError(problems.BAD_TARGET)
    path = target[found.end() :]
    return path if path.startswith(b"/") else b"/" + path


def find_path(method: bytes, target: bytes) -> bytes:
    """Return the path that a target names; see `to_origin_form`."""
    return to_origin_form(method, target).partition(b"?")[0]


def _is_authority(ipv6: bytes | None, port: bytes | None) -> bool:
    """Return whether a host in brackets is an address, and a port one that exists."""
    if ipv6 is not None:
        try:
            IPv6Address(ipv6.decode())
        except ValueError:
            return False
    return int(port or b"0") <= MAX_PORT
