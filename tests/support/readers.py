"""Drives readers: one process each, asked over HTTP as a client would."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from stack.servers.ports import free_port
from tests.support.event_streams import Listener
from tests.support.programs import ROOT, Tier

BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)
"""Errors of a client whose connection ends with the worker that held it."""


class Reader(Tier):
    """One reader process, with a folder and a port of its own.

    Args:
        settings: where Kafka is, and what the topic is called.
        folder: for its state and its log; made where it is missing.
        more: further settings.
    """

    port_variable: ClassVar[str] = "READER_PORT"

    def __init__(self, settings: Mapping[str, str], folder: Path, **more: str) -> None:
        folder.mkdir(exist_ok=True)
        own = {"READER_STATE_DIR": str(folder / "state"), "READER_PORT": str(free_port())}
        super().__init__("reader", {**settings, **own, **more}, folder / "log")

    def start_and_wait(self, seconds: float = 60.0) -> Self:
        """Start it, and wait until it is ready: not `stale`, which is 200 too."""
        self.start().await_state("ready", seconds)
        return self

    @property
    def folder(self) -> Path:
        """Its READER_STATE_DIR."""
        return Path(self.environment["READER_STATE_DIR"])

    def kill(self) -> None:
        """End it as a power cut would; its workers follow by themselves, and answer no more once this returns."""
        workers = self.workers() if self.running else []
        super().kill()
        psutil.wait_procs(workers, 10)

    def get_again(self, path: str) -> httpx.Response:
        """Return its response to a GET request that is repeated as often as the connection breaks."""
        for _ in range(10):
            try:
                return self.get(path)
            except BROKEN:
                continue
        raise AssertionError("every connection broke")

    def holds(self, truth: Mapping[str, bytes]) -> bool:
        """Say whether it answers exactly what a truth says, unknown users included."""
        for user in {*truth, "nobody"}:
            response = self.get(f"/users/{user}")
            if user in truth and (response.status_code, response.content) != (200, truth[user]):
                return False
            if user not in truth and response.status_code != httpx.codes.NOT_FOUND:
                return False
        return True

    def listen(self, user: str, last: str | None = None) -> Listener:
        """Listen to a user's events, from the event with the id `last` on."""
        return Listener(self.port, f"/users/{user}/events", last)

    def metric(self, *name: str) -> float:
        """Return a sample by its name and the values of its labels; 0 where it is missing."""
        families = text_string_to_metric_families(self.get_again("/metrics").text)
        found = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
        return found.get(name, 0.0)

    def workers(self) -> list[psutil.Process]:
        """Return its workers that are alive."""
        return psutil.Process(self.pid).children()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the reader's commands with its settings, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "reader", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )


def body(user: str, count: int = 0) -> bytes:
    """Return a record's bytes."""
    return json.dumps({"userId": user, "likeCount": count}).encode()
