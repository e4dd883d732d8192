"""The shape of records on its way through `user-info`: a joiner's start writes it, readers describe records by it."""

from pathlib import Path

import pytest

from shared.shape import BUILT_IN_SHAPE, SHAPE_KEY, FieldShape, Shape
from tests.support.joiners import Joiners
from tests.support.readers import Reader
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

PARTITIONS = 2
OLD, NEW = (Shape("customers", "customerId", (FieldShape(key, "text"),), (), ()) for key in ("name", "fullName"))


def say(topics: Topics, shape: Shape) -> None:
    """Write a shape to every partition of user-info."""
    for partition in range(PARTITIONS):
        topics.send("user-info", SHAPE_KEY, shape.encode(), partition=partition)
    topics.flush()


def described(reader: Reader) -> tuple[str, ...]:
    """Return the keys of a record, as the reader describes it."""
    return tuple(reader.get_again("/openapi.json").json()["components"]["schemas"]["Record"]["properties"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reader_describes_records_as_its_topic_says(kafka: str, tmp_path: Path, workers: str) -> None:
    """From one record to the next, without a restart; after a kill at once, in every process that serves."""
    topics = Topics(kafka)
    topics.create("user-info", partitions=PARTITIONS)
    say(topics, OLD)
    topics.write("user-info", b"42", b'{"customerId":"42","name":"Ada"}')
    settings = {"READER_WORKERS": workers, "READER_RESOURCE": "customers"}
    with Reader(topics.settings(), tmp_path / "reader", **settings) as reader:
        reader.wait_until_ready()
        assert 200 == reader.get("/customers/42").status_code
        assert OLD.keys == described(reader)
        say(topics, NEW)
        wait_for(lambda: described(reader) == NEW.keys, what="the new shape")
        reader.kill()
        reader.start_and_wait()
        for _ in range(4):
            assert NEW.keys == described(reader)


def test_each_start_of_a_joiner_says_its_shape_in_every_partition(joiners: Joiners) -> None:
    """Whatever was there before: the last record under the key is the joiner's own."""
    topics = joiners.topics
    topics.create_sources()
    topics.create("user-info", partitions=PARTITIONS)
    say(topics, OLD)
    for _ in range(2):
        joiner = joiners.start()
        said = [message for message in topics.messages("user-info") if message.key() == SHAPE_KEY]
        last = {message.partition(): message.value() for message in said}
        assert dict.fromkeys(range(PARTITIONS), BUILT_IN_SHAPE.encode()) == last
        joiner.stop()
