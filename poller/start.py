"""Fits the state to topics, database and tables as they are: goes on, begins again, or refuses by name."""

import logging
from collections.abc import Iterator, Mapping, Sequence

from poller.polling import FOLLOWING
from poller.state import Progress, State
from poller.tables import Table
from poller.topics import Topic, read_keys
from shared.errors import StateError, TopicError

logger = logging.getLogger(__name__)

DATABASE, TIMELINE = "database", "timeline"
"""Notes: which database the cursors belong to, and its timeline."""

CATCH_UP_KEYS = 10_000
"""How many keys of a topic are noted at once."""


def fit_topics(state: State, topics: Sequence[Topic], client: Mapping[str, str]) -> None:
    """Know the keys that the topics hold now, whoever wrote them.

    Args:
        state: is changed.
        topics: as they are.
        client: where Kafka is and how to reach it, as librdkafka's properties.

    Raises:
        TopicError: a topic has got more partitions, so keys are no longer where they were.
        KafkaException, Interrupted: Kafka does not answer.
    """
    for topic in topics:
        known = state.find_topic(topic.name)
        if known is not None and known[0] == topic.id and known[1] != topic.partitions:
            raise TopicError(
                f"the topic {topic.name} had {known[1]} partitions and has {topic.partitions} now, so rows would lie in"
                " two of them",
                "delete the topic, have the joiners reset, and start again: all rows are sent again",
            )
        if known is None or known[0] != topic.id:
            state.begin_topic(topic.name, topic.id, topic.partitions)
        if _catch_up(state, topic, client) and state.cursor(topic.name) is not None:
            logger.warning("another program has written to the topic %s: all its rows are sent again", topic.name)
            state.begin_again(topic.name)


def _catch_up(state: State, topic: Topic, client: Mapping[str, str]) -> bool:
    """Note the keys of records that are not known yet; return whether another program wrote some of them."""
    progress, positions = Progress(), dict[tuple[str, int], int]()
    is_foreign, count = False, 0
    for record in read_keys(client, topic, state.positions(topic.name), state.writer):
        progress.present[topic.name, record.key] = record.is_there
        positions[record.place] = record.following
        is_foreign |= not record.is_own
        count += 1
        if len(progress.present) >= CATCH_UP_KEYS:
            state.save(progress, positions)
            progress = Progress()
    state.save(progress, positions)
    logger.info("the topic %s has %d records that were not known yet", topic.name, count)
    return is_foreign


def fit_database(state: State, identity: tuple[str, int], following: int) -> None:
    """Begin again where the database has gone back to an older state; refuse another one.

    Args:
        state: is changed.
        identity: the database, and its timeline.
        following: the id above all transactions that have ended.

    Raises:
        StateError: it is another database.
    """
    database, timeline = identity
    before = state.note(DATABASE)
    if before is not None and before != database:
        raise StateError(
            f"POLLER_STATE_DIR belongs to the database {before}, and POLLER_POSTGRES_DSN leads to {database}: whatever"
            " the topics hold and this one does not would be deleted",
            "correct POLLER_POSTGRES_DSN; if it has taken the other one's place, delete POLLER_STATE_DIR",
        )
    known_timeline, known_following = state.note(TIMELINE), int(state.note(FOLLOWING) or 0)
    if (known_timeline is not None and known_timeline != str(timeline)) or following < known_following:
        logger.warning(
            "the database has gone back: a backup, a replica that has taken over, a crash (timeline %s, now %d;"
            " transactions up to %d, now %d); all rows are sent again",
            known_timeline,
            timeline,
            known_following,
            following,
        )
        state.begin_all_again()
    state.save(Progress(notes={DATABASE: database, TIMELINE: str(timeline), FOLLOWING: str(following)}), {})


def fit_tables(state: State, tables: Sequence[Table]) -> Iterator[Table]:
    """Begin each table again whose rows look otherwise now; yield those that are read from their first row."""
    for table in tables:
        state.begin_table(table.topic, table.form)
        if state.cursor(table.topic) is None:
            logger.info("the table %s is read from its first row", table.source.table)
            yield table
