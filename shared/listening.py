"""TCP sockets to listen on, in either family of addresses, and how an address is written in a URL. Knows no server."""

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from shared.errors import AlreadyRunning, SettingError, UserInformationError

BACKLOG = 2048
"""Connections that wait to be accepted; the system may allow fewer."""

DRAWS = 20
"""How often a free port is drawn that has to be free at several addresses."""

ALL_ADDRESSES = "::"
MAPPED_IPV4 = "::ffff:"
"""How an IPv4 address begins that is written as one of IPv6; only a socket for both families takes it."""

ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})
"""Errors of an address that this machine does not have, or not without the name of an interface."""


class Endpoint(NamedTuple):
    """Where to listen.

    Args:
        host: an address of either family, or a name: then all of its addresses. `::` is all addresses of both families.
        port: 0 draws a free one, the same at each address.
        prefix: of the two settings that say so: `<prefix>_HOST` and `<prefix>_PORT`.
    """

    host: str
    port: int
    prefix: str


class _Address(NamedTuple):
    """An address of one family, as the system's calls take it."""

    family: int
    address: tuple[Any, ...]

    def listen(self, port: int, *, shared: bool) -> socket.socket:
        """Return a socket that listens at this address and no other, except that `::` includes all of IPv4."""
        both_families = self.address[0] == ALL_ADDRESSES or self.address[0].startswith(MAPPED_IPV4)
        return socket.create_server(
            (self.address[0], port, *self.address[2:]),
            family=self.family,
            backlog=BACKLOG,
            reuse_port=shared,
            dualstack_ipv6=both_families and socket.has_dualstack_ipv6(),
        )


def listen(endpoint: Endpoint) -> list[socket.socket]:
    """Listen on the port at each of the host's addresses.

    Raises:
        AlreadyRunning: the port is taken; names the settings.
        SettingError: the host is not this machine, or the port not for this user; names the setting.
    """
    return [listener for _, listener in _listen(endpoint)]


def listen_per_worker(endpoint: Endpoint, processes: int) -> list[list[socket.socket]]:
    """Listen on the port once for each process; the system spreads connections over them.

    Returns:
        the sockets of each process.

    Raises:
        AlreadyRunning: the port is taken, if only by one that would share it; names the settings.
        SettingError: as of `listen`.
    """
    alone = _listen(endpoint)
    port = alone[0][1].getsockname()[1]
    for _, listener in alone:
        listener.close()
    try:
        return [[address.listen(port, shared=True) for address, _ in alone] for _ in range(processes)]
    except OSError as error:  # another process has taken it in between
        raise _explain(endpoint, error) from error


def format_url(listener: socket.socket, path: str) -> str:
    """Return the URL of a path on a socket that listens; an IPv6 address stands in brackets."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"


def format_urls(listeners: Sequence[socket.socket], path: str) -> str:
    """Return the URLs of a path on several sockets, in words."""
    return " and ".join(format_url(listener, path) for listener in listeners)


def _listen(endpoint: Endpoint) -> list[tuple[_Address, socket.socket]]:
    addresses = _resolve(endpoint)
    for draws_left in reversed(range(DRAWS)):
        try:
            return _listen_at(addresses, endpoint.port)
        except OSError as error:
            if endpoint.port or error.errno != errno.EADDRINUSE or not draws_left:
                raise _explain(endpoint, error) from error
    raise AssertionError("the last draw returns or raises")


def _listen_at(addresses: Sequence[_Address], port: int) -> list[tuple[_Address, socket.socket]]:
    """Listen on one port of those addresses that this machine has: a name may have some of a family that it lacks."""
    listening: list[tuple[_Address, socket.socket]] = []
    absent: OSError | None = None
    with ExitStack() as opened:
        for address in addresses:
            try:
                listener = opened.enter_context(address.listen(port, shared=False))
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                absent = error
                continue
            listening.append((address, listener))
            port = listener.getsockname()[1]
        if absent is not None and not listening:
            raise absent
        opened.pop_all()
    return listening


def _resolve(endpoint: Endpoint) -> list[_Address]:
    """Return the addresses of the host, each once."""
    host = endpoint.host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _explain(endpoint, error) from error
    return list(dict.fromkeys(_Address(family, address) for family, _, _, _, address in found))


def _explain(endpoint: Endpoint, error: Exception) -> UserInformationError:
    """Return why the endpoint cannot be listened on, with what to do."""
    host, port = f"{endpoint.prefix}_HOST={endpoint.host}", f"{endpoint.prefix}_PORT={endpoint.port}"
    number = error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
    reason = os.strerror(number) if number else getattr(error, "strerror", None) or str(error)
    if number == errno.EADDRINUSE:
        return AlreadyRunning(
            f"cannot listen on {port} of {host}: {reason}", hint="stop the process that uses it, or set another port"
        )
    if number == errno.EACCES:
        return SettingError(f"{port} of {host}: {reason}", hint="set a port above 1023, or run as another user")
    if number == errno.EINVAL:
        return SettingError(
            f"{host}: an address of one link, without its interface", hint="add the interface, such as fe80::1%eth0"
        )
    return SettingError(
        f"{host}: {reason}",
        hint="set an address or a name of this machine, such as 127.0.0.1, ::1, or :: for all addresses",
    )
