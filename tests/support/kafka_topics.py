"""Stands in for Kafka's own `kafka-topics.sh`, which no package carries: the options that our documents show.

Knows nothing else: an option that a document does not show is an error.
"""

import argparse
import shlex
import sys
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).parents[2]


def install(folder: Path) -> None:
    """Put the command into a folder, which belongs on PATH."""
    command = folder / "kafka-topics.sh"
    python, root = shlex.quote(sys.executable), shlex.quote(str(ROOT))
    command.write_text(f'#!/bin/sh\ncd {root} && exec {python} -m tests.support.kafka_topics "$@"\n')
    command.chmod(0o755)


def main() -> None:
    """Create or delete a topic."""
    parser = argparse.ArgumentParser()
    for name in ("--bootstrap-server", "--topic"):
        parser.add_argument(name, required=True)
    parser.add_argument("--delete", action="store_true")
    parser.add_argument("--create", action="store_true")
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--config", action="append", default=[])
    given = parser.parse_args()
    admin = AdminClient({"bootstrap.servers": given.bootstrap_server, "log_level": 0})
    if given.delete:
        admin.delete_topics([given.topic])[given.topic].result()
    if given.create:
        config = dict(setting.split("=", 1) for setting in given.config)
        admin.create_topics([NewTopic(given.topic, given.partitions, -1, config=config)])[given.topic].result()
        sys.stdout.write(f"Created topic {given.topic}.\n")


if __name__ == "__main__":
    main()
