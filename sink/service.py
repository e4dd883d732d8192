"""A sink's process: takes the port, follows the topic into the store, until told to stop."""

import logging
import signal
import threading

from replication.kafka.config import check_credentials, validate_properties
from replication.kafka.topic import TopicClient
from shared import logs
from shared.health import serve_health
from sink.follower import Follower
from sink.settings import SinkSettings
from sink.state import FORMAT
from sink.status import Status
from sink.store import Store

logger = logging.getLogger("sink")


def run(settings: SinkSettings, store: Store, refused: str) -> None:
    """Keep the store equal to the topic until told to stop.

    Args:
        settings: where Kafka is, and where to answer.
        store: what is written.
        refused: where it names users that it cannot hold, as words.

    Raises:
        UserInformationError: the sink cannot run; the hint says what to do.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    logs.configure(settings.log_level, settings.log_format)
    properties = validate_properties(settings.kafka_properties)
    status = Status(store.name, refused)
    if settings.sink_http_port:
        serve_health(status.respond, status.metrics.text, settings.http_endpoint)
    check_credentials(settings.kafka_bootstrap_servers, properties)
    topic = TopicClient(settings.kafka_bootstrap_servers, settings.user_info_topic, properties, FORMAT)
    Follower(topic, store, status, stopping).run()
    logger.info("stopped")
