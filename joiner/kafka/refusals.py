"""What Kafka refuses once it will always refuse: its name for the reason, and the way back. Asks Kafka nothing."""

from confluent_kafka import KafkaError

from shared.errors import TopicError
from shared.topics import ANY_TIME_MS, MAX_MESSAGE_BYTES

RIGHTS = "give the joiner's user the rights that docs/operations.md lists"
BROKERS = "see the broker's log for its reason, and correct what it names"
SIZE = f"set max.message.bytes={MAX_MESSAGE_BYTES} or more, and the brokers' message.max.bytes"
TIME = f"set message.timestamp.before.max.ms={ANY_TIME_MS} and message.timestamp.after.max.ms={ANY_TIME_MS}"

REFUSALS = {
    "MSG_SIZE_TOO_LARGE": SIZE,
    "RECORD_LIST_TOO_LARGE": SIZE,
    "INVALID_TIMESTAMP": TIME,
    "TOPIC_AUTHORIZATION_FAILED": RIGHTS,
    "GROUP_AUTHORIZATION_FAILED": RIGHTS,
    "CLUSTER_AUTHORIZATION_FAILED": RIGHTS,
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": RIGHTS,
    "POLICY_VIOLATION": BROKERS,
    "INVALID_RECORD": BROKERS,
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": BROKERS,
    "UNSUPPORTED_VERSION": BROKERS,
}
"""Kafka's name of an error that waiting does not mend -> the way back."""


def describe(reason: KafkaError) -> str:
    """Return a reason for people, and its name for those who search for it."""
    return f"{reason.str()} ({reason.name()})"


def refusal_of(topic: str, reason: KafkaError) -> TopicError:
    """Return the error that ends a program whose record a topic refuses.

    Args:
        topic: its name.
        reason: the client's error, whose name is in `REFUSALS`.
    """
    what = f"the topic {topic} refuses a record, and would again: {describe(reason)}"
    return TopicError(what, f"{REFUSALS[reason.name()]}; then start it again")


def read_refusal_of(topic: str | None, reason: KafkaError) -> TopicError:
    """Return the error that ends a program that may not read.

    Args:
        topic: what it may not read; None where the client does not say.
        reason: the client's error, whose name is in `REFUSALS`.
    """
    what = f"Kafka does not let the joiner read {f'the topic {topic}' if topic else 'its topics'}: {describe(reason)}"
    return TopicError(what, f"{REFUSALS[reason.name()]}; then start it again")
