"""Says the shape of its records in `user-info`, for readers and whoever else reads that topic."""

from collections.abc import Mapping

from joiner.kafka.producer import NewRecord, open_producer, write_all
from shared.shape import SHAPE_KEY, Shape


def write_shape(client: Mapping[str, str], topic: str, partitions: int, shape: Shape) -> None:
    """Write the shape to every partition, and wait until Kafka has acknowledged it.

    At every start, whatever the topic says: the same shape again changes nothing, and so it is known under whichever
    program wrote there before. Where a start ends in the middle of it, the next one completes it.

    Args:
        client: where Kafka is and how to reach it, as librdkafka's properties.
        topic: user-info.
        partitions: how many it has.
        shape: of the records that are written from now on.

    Raises:
        Interrupted: Kafka did not accept it.
    """
    records = [NewRecord(SHAPE_KEY, shape.encode(), partition) for partition in range(partitions)]
    write_all(open_producer(client), topic, records)
