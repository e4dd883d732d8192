"""The readers of `make run`: one that holds every user, or one for each shard, with HAProxy in front where it is there.

Who asks for a record always asks at the right address: the proxy's, or that of the shard's own reader.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from shared.settings import KafkaSettings, read_settings
from shared.shards import Shard, Share
from stack.errors import StackError
from stack.proxy import INSTALL, Proxy, find_haproxy
from stack.servers.ports import free_port

TOPIC_SECONDS = 60.0
"""How long the joiner may take to create user-info."""


class ReaderPlace(NamedTuple):
    """One reader.

    Args:
        name: of its folder and its log's lines.
        port: that it listens on.
        shard: that it holds; None: every user.
    """

    name: str
    port: int
    shard: Shard | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self, folder: Path) -> dict[str, str]:
        """Return its own settings.

        Args:
            folder: STACK_DIR.
        """
        sharded = {} if self.shard is None else {"READER_SHARD": str(self.shard)}
        return {"READER_STATE_DIR": str(folder / self.name), "READER_PORT": str(self.port), **sharded}


class Readers:
    """All of them.

    Args:
        port: READER_PORT; of the proxy, where there are shards.
        shards: how many; 1: one reader that holds every user.
        resource: what they serve users as.

    Attributes:
        places: the readers.
        proxy: in front of them, once it has been started.
    """

    def __init__(self, port: int, shards: int, resource: str = "users") -> None:
        self.places = [ReaderPlace("reader", port)]
        if shards > 1:
            numbers = range(shards)
            self.places = [ReaderPlace(f"reader-{each}", free_port(), Shard(each, shards)) for each in numbers]
        self.proxy: Proxy | None = None
        self._port = port
        self._resource = resource
        self._partitions = 1

    def start_proxy(self, servers: str, folder: Path, say: Callable[[str], None]) -> Proxy | None:
        """Start the proxy once user-info exists; return it, or None where none is needed or installed.

        Args:
            servers: Kafka's addresses.
            folder: of the proxy.
            say: takes a line about it.

        Raises:
            StackError: the topic or the proxy does not come up.
        """
        if len(self.places) == 1:
            return None
        self._partitions = _await_partitions(servers)
        program = find_haproxy()
        if program is None:
            say(f"no HAProxy on this machine, so each reader answers for its shard alone; {INSTALL} brings it")
            return None
        shards = [[f"127.0.0.1:{place.port}"] for place in self.places]
        self.proxy = Proxy(program, folder, self._port, self._partitions, shards, resource=self._resource)
        self.proxy.start()
        say(f"HAProxy answers on port {self._port}, for {len(shards)} shards")
        return self.proxy

    def find_url(self, record_id: object) -> str:
        """Return the address to ask for a record."""
        if self.proxy is not None or len(self.places) == 1:
            return f"http://127.0.0.1:{self._port}"
        other = Share(self._partitions, self.places[0].shard).find_other_shard(str(record_id).encode())
        return self.places[0 if other is None else other.number].url

    def read_readiness(self) -> dict[str, Any]:
        """Return what the first reader that is not ready says in `/readyz`, or else the first; nothing if silent."""
        found = [_read_readiness(place) for place in self.places]
        return next((each for each in found if each.get("state") != "ready"), found[0])

    def all_serve(self) -> bool:
        """Return whether every shard has a reader that is ready; one reader alone has shown it by its answer."""
        return len(self.places) == 1 or self.read_readiness().get("state") == "ready"

    def describe(self, path: str) -> str:
        """Return who serves what, a line for each; nothing where one reader holds every user.

        Args:
            path: of a record.
        """
        lines = [f"  Shard {place.shard}  {place.url}{path}, 421 for users of other shards" for place in self.places]
        return "".join(f"{line}\n" for line in lines) if len(lines) > 1 else ""


def describe_wait(readiness: Mapping[str, Any]) -> str:
    """Return what the reader is waited for.

    Args:
        readiness: what its `/readyz` says; empty while it does not answer.
    """
    if not readiness:
        return "the reader starts"
    if readiness["state"] == "ready":
        return "the reader is ready; the rows are on their way"
    left = "" if readiness["secondsLeft"] is None else f", {readiness['secondsLeft']:.0f} s left"
    return f"{readiness['state']}{left}" + (f": {readiness['reason']}" if readiness["reason"] else "")


def _read_readiness(place: ReaderPlace) -> dict[str, Any]:
    try:
        found: dict[str, Any] = httpx.get(f"{place.url}/readyz", timeout=5).json()
    except httpx.TransportError:
        return {}
    return found


def _await_partitions(servers: str) -> int:
    """Return how many partitions user-info has, once the joiner has created it."""
    name = read_settings(KafkaSettings).user_info_topic
    admin, deadline = AdminClient({"bootstrap.servers": servers, "log_level": 0}), time.monotonic() + TOPIC_SECONDS
    while time.monotonic() < deadline:
        try:
            topic = admin.list_topics(timeout=5).topics.get(name)
        except KafkaException:
            continue
        if topic is not None and topic.partitions:
            return len(topic.partitions)
        time.sleep(0.2)
    raise StackError(f"the joiner has not created {name} within {TOPIC_SECONDS:.0f} s; its log says why")
