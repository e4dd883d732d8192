"""What folders and topics take of the disk, of blocks that are really allocated."""

from pathlib import Path

from bench.errors import MeasurementError
from stack.servers.kafka import Kafka


def measure_folder(folder: Path) -> int:
    """Return what a folder's files take of the disk, in bytes."""
    return sum(512 * file.stat().st_blocks for file in folder.rglob("*") if file.is_file())


def measure_topics(kafka: Kafka, prefix: str) -> int:
    """Return what topics take of the disk of a broker that runs: one replica of each, in bytes.

    Args:
        kafka: the broker.
        prefix: of the topics' names.

    Raises:
        MeasurementError: there is no such topic.
    """
    partitions = list((kafka.folder / "data").glob(f"{prefix}*-[0-9]*"))
    if not partitions:
        raise MeasurementError(f"the broker has no partition of {prefix}")
    return sum(measure_folder(partition) for partition in partitions)
