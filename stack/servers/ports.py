"""Free ports: guarantees that no two processes are given the same one, as can happen when each asks the system."""

import socket


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 for a server: no other process is given it while this one lives."""
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    # Left bound, the port is never handed out by the system, also while its server is down; the server itself can
    # still listen on it, since servers allow an address to be used again.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.detach()
    return port
