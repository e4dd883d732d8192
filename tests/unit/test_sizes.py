"""One sum, from the largest record to every topic, client, connector and broker: shared/topics.py derives it."""

import json
import re

import pytest
import yaml

from joiner.core.checkpoint import PACK_BYTES
from joiner.core.columns import ENVELOPE_BYTES
from joiner.core.users import UserState, encode_state
from joiner.kafka import config
from joiner.settings import JoinerSettings
from replication.kafka import config as kafka_config
from shared import topics
from shared.kafka import COMMON
from shared.records import PROFILE_COLUMNS
from shared.topics import MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, SOURCE_MESSAGE_BYTES
from stack import ops
from stack.servers import kafka
from tests.support.programs import ROOT

MIB = 1024 * 1024
FRAMING = 4 * 1024
"""More than a record's headers and the framing of its batch take."""

SPECS = [
    topics.user_info_spec("user-info", 8),
    topics.user_info_changes_spec("changes", 8),
    topics.changelog_spec("changelog", 8),
    topics.dead_letters_spec("letters"),
    topics.ledger_spec("ledger"),
    topics.heartbeats_spec("heartbeats"),
]


def test_the_terms_of_the_sum() -> None:
    """A record of 4 MiB with its key, twice: an edit under REPLICA IDENTITY FULL."""
    assert (4 * MIB, 4.25 * MIB, 8.5 * MIB) == (MAX_RECORD_BYTES, MAX_MESSAGE_BYTES, SOURCE_MESSAGE_BYTES)


def test_the_largest_record_fits_into_each_message_that_carries_it() -> None:
    """As a record, in the internal topic, where it travels alone, and as state in a changelog, with its headers."""
    largest = "x" * (MAX_RECORD_BYTES - ENVELOPE_BYTES)
    state = encode_state(UserState((largest, *[None] * (len(PROFILE_COLUMNS) - 1)), (10**18,) * 4, 10**13, 10**13))
    assert state is not None
    offsets = len(json.dumps({f"a-topic-name-{partition}": 10**12 for partition in range(1_000)}))
    assert len(state) + 511 + offsets + FRAMING < MAX_MESSAGE_BYTES
    assert PACK_BYTES < MAX_MESSAGE_BYTES


def test_the_largest_row_can_be_edited() -> None:
    """Debezium's envelope holds it before and after; with a schema beside it, of every column and both images."""
    images = 2 * (MAX_RECORD_BYTES - ENVELOPE_BYTES)
    field = {
        "type": "string",
        "optional": True,
        "field": "profile_image_url",
        "name": "io.debezium.time.Timestamp",
    }
    schema = len(json.dumps([field] * 100))
    assert images + schema + 2 * FRAMING + 511 < SOURCE_MESSAGE_BYTES


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_topic_of_the_service_takes_it(spec: topics.TopicSpec) -> None:
    """With what every topic is created with."""
    assert str(MAX_MESSAGE_BYTES) == {**topics.CREATION_CONFIG, **spec.config}["max.message.bytes"]


def test_every_client_takes_it() -> None:
    """What is sent is limited by `message.max.bytes`; a response may exceed what is fetched by a record."""
    settings = JoinerSettings.model_construct()
    assert MAX_MESSAGE_BYTES == COMMON["message.max.bytes"]
    assert MAX_MESSAGE_BYTES == config.producer_config(settings, {})["message.max.bytes"]
    consumer = config.consumer_config(settings, {})
    assert MAX_MESSAGE_BYTES == consumer["fetch.max.bytes"] == consumer["max.partition.fetch.bytes"]
    assert MAX_MESSAGE_BYTES + SOURCE_MESSAGE_BYTES < 100_000_000  # librdkafka's receive.message.max.bytes
    assert MAX_MESSAGE_BYTES == kafka_config.build_consumer_config({})["max.partition.fetch.bytes"]


def test_the_connector_sends_it_twice_and_its_topics_take_that() -> None:
    """The largest request of its producer, and the topics that it creates."""
    connector = ops.read_connector()
    assert str(SOURCE_MESSAGE_BYTES) == connector["producer.override.max.request.size"]
    assert str(SOURCE_MESSAGE_BYTES) == connector["topic.creation.default.max.message.bytes"]
    # Without this the worker would ignore the override.
    assert "All" == ops.read_worker()["connector.client.config.override.policy"]


def test_the_brokers_take_it_twice() -> None:
    """Those of compose.yaml, which also creates the source topics, and those of the stack."""
    assert SOURCE_MESSAGE_BYTES == kafka.SOURCE_MESSAGE_BYTES
    stack = {kafka.PROPERTIES["message.max.bytes"], kafka.PROPERTIES["replica.fetch.max.bytes"]}
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    broker = services["kafka"]["environment"]
    created = re.findall(r"max\.message\.bytes=(\d+)", services["topics"]["command"][2])
    compose = {broker["KAFKA_MESSAGE_MAX_BYTES"], broker["KAFKA_REPLICA_FETCH_MAX_BYTES"], *created}
    assert {str(SOURCE_MESSAGE_BYTES)} == stack | compose


def test_the_documents_name_the_same_numbers() -> None:
    """What to set on brokers and connectors of one's own."""
    said = (ROOT / "docs" / "operations.md").read_text()
    assert {str(SOURCE_MESSAGE_BYTES), str(MAX_MESSAGE_BYTES)} <= set(re.findall(r"\b\d{7}\b", said))
