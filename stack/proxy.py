"""HAProxy in front of sharded readers, as `ops/proxy/haproxy-sharded.cfg` has it; only addresses and numbers differ."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import httpx

from stack.ops import OPS
from stack.servers.process import Command

CONFIG_FILE = OPS / "proxy" / "haproxy-sharded.cfg"
INSTALL = "sudo apt-get install haproxy"


def find_haproxy() -> str | None:
    """Return HAProxy's path; None if it is not installed."""
    # Debian keeps it where only root's PATH leads.
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def build_config(port: int, partitions: int, shards: Sequence[Sequence[str]], resource: str = "users") -> str:
    """Return the configuration, for readers of this machine.

    Args:
        port: to listen on.
        partitions: how many user-info has.
        shards: of each shard, the addresses of its readers, host:port.
        resource: READER_RESOURCE.
    """
    text = re.sub(r"\nresolvers .*?\n(?=\nfrontend)", "", CONFIG_FILE.read_text(), flags=re.DOTALL)
    front = text[: text.index("\nbackend ")].replace(" resolvers engine init-addr last,libc,none", "")
    nobody = " ".join(f"{{ nbsrv(shard{number}) lt 1 }}" for number in range(len(shards)))
    front = re.sub(r"bind \S+", f"bind 127.0.0.1:{port}", front)
    front = re.sub(r"(?<=monitor fail if ).*", nobody, front)
    front = re.sub(r"(?<=\{ )(path|path_beg) /users", rf"\1 /{resource}", front)
    front = re.sub(r"(var\(txn.id\),crc32,mod)\(\d+\)", rf"\1({partitions})", front)
    front = re.sub(r"(var\(txn.partition\),mod)\(\d+\)", rf"\1({len(shards)})", front)
    backends, everyone = [], ["backend readers"]
    for number, addresses in enumerate(shards):
        names = [f"reader-{number}-{position}" for position in range(1, len(addresses) + 1)]
        servers = [f"    server {name} {address}" for name, address in zip(names, addresses, strict=True)]
        backends.append("\n".join([f"backend shard{number}", *servers]))
        everyone += [f"{server} no-check track shard{number}/{server.split()[1]}" for server in servers]
    return "\n\n".join([front.rstrip(), *backends, "\n".join(everyone), "backend nobody\n"])


class Proxy:
    """One HAProxy.

    Args:
        program: its path.
        folder: where its configuration and its log go.
        port: that it listens on.
        partitions: how many user-info has.
        shards: of each shard, the addresses of its readers, host:port.
        resource: READER_RESOURCE.
    """

    def __init__(  # noqa: PLR0913 - where it is, and what it needs to know
        self,
        program: str,
        folder: Path,
        port: int,
        partitions: int,
        shards: Sequence[Sequence[str]],
        *,
        resource: str = "users",
    ) -> None:
        self.port = port
        self._config = folder / "haproxy.cfg"
        self._text = build_config(port, partitions, shards, resource)
        self.command = Command("HAProxy", [program, "-db", "-f", str(self._config.absolute())], folder)

    def start(self) -> None:
        """Start it, and wait until it answers, with or without readers behind it.

        Raises:
            StackError: it does not.
        """
        self._config.parent.mkdir(parents=True, exist_ok=True)
        self._config.write_text(self._text)
        self.command.start(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{self.port}/proxyz", timeout=1).status_code)
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Stop it."""
        self.command.stop()
