"""`python -m joiner`: read the settings, take the locks, check the topics, join until told to stop."""

import hashlib
import logging
import sys
import tempfile
from pathlib import Path

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from joiner import topics
from joiner.health import Health, serve
from joiner.settings import JoinerSettings
from shared import lock, logs
from shared.errors import UserInformationError
from shared.kafka import understood
from shared.settings import help_text, load

logger = logging.getLogger("joiner")


@click.command(
    epilog=f"\b\nSettings, all environment variables:\n{help_text(JoinerSettings)}\n"
    "  KAFKA_<PROPERTY>\n      Any property of librdkafka, such as KAFKA_SECURITY_PROTOCOL=ssl.",
    context_settings={"max_content_width": 100},
)
def main() -> None:
    """Join the changelog topics of users, tweets, follows and likes into the topic user-info.

    Runs until SIGTERM or SIGINT, which commit what is done and end it. To share the work, start more processes with the
    same JOINER_GROUP, each with a JOINER_INSTANCE_ID, a JOINER_STATE_DIR and a JOINER_HTTP_PORT of its own.
    """
    try:
        run(load(JoinerSettings))
    except UserInformationError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except KafkaException as error:
        click.echo(f"Error: Kafka: {error.args[0].str()}", err=True)
        sys.exit(1)


def run(settings: JoinerSettings) -> None:
    """Join until told to stop.

    Raises:
        UserInformationError: something stands in the way; its message says what to do.
    """
    logs.configure(settings.log_level)
    properties = understood(settings.kafka_properties, AdminClient)
    locks = [
        lock.hold(settings.joiner_state_dir / "lock", f"JOINER_STATE_DIR={settings.joiner_state_dir}"),
        lock.hold(_id_lock(settings), f"JOINER_INSTANCE_ID={settings.joiner_instance_id} of {settings.joiner_group}"),
    ]
    health = Health()
    if settings.joiner_http_port:
        serve(health, settings.joiner_http_host, settings.joiner_http_port)
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers, **properties})
    partitions = topics.prepare(admin, settings, lambda problem: health.enter("starting", problem))

    # Imported late: it takes a second, and whoever waits for a wrong setting should not.
    from joiner.topology import JoinerApplication  # noqa: PLC0415

    logger.info("joining as %s", settings.transactional_id)
    JoinerApplication(settings, properties, partitions, health, admin).run()
    logger.info("stopped")
    for held in locks:
        held.close()


def _id_lock(settings: JoinerSettings) -> Path:
    """Return the lock of this id on this machine; other machines are fenced by Kafka itself."""
    identity = hashlib.sha256(f"{settings.kafka_bootstrap_servers} {settings.transactional_id}".encode()).hexdigest()
    return Path(tempfile.gettempdir()) / f"user-info-joiner-{identity[:16]}.lock"


if __name__ == "__main__":
    main()
