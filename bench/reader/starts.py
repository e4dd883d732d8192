"""How soon a reader is ready: from nothing, from a snapshot, with its data; and what users take up, in Kafka too."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.disk import measure_folder, measure_topics
from bench.errors import MeasurementError
from bench.reader import services
from bench.reader.services import Service
from bench.reader.testbed import REPLAYED, Testbed

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """How a reader started.

    Args:
        seconds: from its start until it was ready.
        resident_bytes: its memory then, mapped pages of its file included.
        own_bytes: its memory without those.
    """

    seconds: float
    resident_bytes: int
    own_bytes: int


def measure_starts(testbed: Testbed, records: int) -> Result:
    """Measure all ways to start on a topic of so many records."""
    folder = testbed.folder / "starting"
    copy = testbed.folder / "snapshot"
    bootstrap_servers = testbed.kafka.bootstrap_servers
    service = services.reader_service(folder, bootstrap_servers, REPLAYED)
    with ExitStack() as parts:
        parts.callback(service.command.stop)
        cold = _measure_start(service, testbed, f"from nothing, {records:,} records")
        service.command.stop()
        warm = _measure_start(service, testbed, "with its data")
        snapshot_seconds = take_snapshot(service, copy)
        testbed.say(f"snapshot taken in {snapshot_seconds:.1f} s")
        disk, topic = measure_folder(folder / "state"), measure_topics(testbed.kafka, REPLAYED)
        service.command.stop()
        other = services.reader_service(
            testbed.folder / "from-snapshot", bootstrap_servers, REPLAYED, READER_SNAPSHOT=str(copy)
        )
        parts.callback(other.command.stop)
        copied = _measure_start(other, testbed, "from a snapshot")
    return {
        "records": records,
        "coldSeconds": cold.seconds,
        "warmSeconds": warm.seconds,
        "fromSnapshotSeconds": copied.seconds,
        "snapshotSeconds": snapshot_seconds,
        "residentBytes": cold.resident_bytes,
        "ownBytes": cold.own_bytes,
        "residentBytesWarm": warm.resident_bytes,
        "diskBytes": disk,
        "snapshotBytes": measure_folder(copy),
        "topicBytes": topic,
    }


def _measure_start(service: Service, testbed: Testbed, how: str) -> Start:
    seconds = service.start(testbed.cores)
    testbed.say(f"{service.name}: ready {how}, after {seconds:.2f} s")
    return Start(seconds, *service.memory())


def take_snapshot(service: Service, folder: Path) -> float:
    """Have a running reader's data copied; return how long that took."""
    began = time.monotonic()
    environment = {**os.environ, **service.command.environment}
    command = [sys.executable, "-m", "reader", "snapshot", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MeasurementError(f"no snapshot could be taken: {done.stderr.strip()}")
    return time.monotonic() - began
