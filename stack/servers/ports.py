"""Free ports: guarantees that those given to one process are not given to another beside it, as two draws may be."""

import socket


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 for a server: nobody else is given it while this process lives."""
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    # Left bound, the port is out of the system's draw, also while its server is down; a server may take it all the
    # same, since servers let an address be used again.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.detach()
    return port
