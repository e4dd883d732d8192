"""What the Kafka client raises, as this service's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException

from shared.errors import KafkaError
from shared.kafka import to_kafka_error

TRANSLATIONS = {KafkaException: to_kafka_error}
"""For the command line: an exception of the client that no code expected still ends a command in the usual form."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the client's exceptions as KafkaError, with the client's own words."""
    try:
        yield
    except KafkaException as error:
        raise KafkaError(error.args[0].str()) from error
