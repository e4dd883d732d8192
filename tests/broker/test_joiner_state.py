"""State belongs to its inputs: the joiner refuses topics that it was not built from; `reset` is the way out."""

import json
import shutil
from pathlib import Path

import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from rocksdict import Options, Rdict

from joiner.core.compatibility import StateInputs
from joiner.kafka.ledger import Ledger
from tests.support.joiners import Joiner, Joiners
from tests.support.topics import Topics, compact
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker

RESET = "stop every joiner of the group and run `python -m joiner reset`"


def count_and_stop(joiners: Joiners) -> Joiner:
    """Return a joiner that has counted three users' likes and is stopped."""
    topics = joiners.topics
    joiner = joiners.start()
    for user in range(3):
        topics.put("users", user_id=user)
        topics.put("likes", like_id=user, user_id=user, tweet_id=1)
    joiners.await_truth()
    assert 0 == joiner.stop()
    return joiner


def refusal(joiner: Joiner) -> str:
    """Start a joiner that must refuse, and return what it said."""
    joiner.start()
    assert 1 == joiner.wait(60)
    assert "Traceback" not in joiner.log()
    said = joiner.log().rsplit("Error: ", 1)[1]
    assert RESET in said
    return said


def set_policy(topics: Topics, topic: str, policy: str) -> None:
    """Change a topic's cleanup policy."""
    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for altered in topics.admin.incremental_alter_configs([resource]).values():
        altered.result()


def test_a_changelog_that_may_forget_state_is_refused_by_name(joiners: Joiners) -> None:
    """One whose policy deletes by time would lose rows that did not change for a while."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    changelog = f"changelog__{topics.prefix}joiner--{topics.name('likes')}--default"
    created = topics.admin.create_topics([NewTopic(changelog, 1, 1, config={"cleanup.policy": "delete"})])
    created[changelog].result()
    joiner = joiners.add().start()
    assert 1 == joiner.wait(60)
    said = f"Error: the changelog {changelog} has cleanup.policy=delete: state that nothing changes is lost in time"
    assert said in joiner.log()


def test_a_recreated_source_is_refused_and_reset_joins_it_again(joiners: Joiners) -> None:
    """After a reset user-info equals the new topics, without the users that they no longer have."""
    topics = joiners.topics
    topics.create_sources()
    joiner = count_and_stop(joiners)

    # 1. The connector starts over: other rows of users, under the old topic's name.
    topics.recreate("users")
    topics.put("users", user_id=1, username="one")
    topics.put("users", user_id=9, username="nine")
    topics.flush()
    assert f"the topic {topics.name('users')} was deleted and created again" in refusal(joiner)
    assert {b"0", b"1", b"2"} == compact(topics.messages("user-info")).keys()

    # 2. The reset is refused while a joiner runs, and the next start follows it.
    reset = joiners.reset()
    assert "has no state any more" in reset.log()
    joiner.start()
    joiners.await_truth()
    assert {b"1", b"9"} == compact(topics.messages("user-info")).keys()
    joiner.wait_until_said("the build is complete")
    topics.put("likes", like_id=7, user_id=9, tweet_id=1)
    joiners.await_truth()


def test_a_reset_is_refused_while_a_joiner_runs(joiners: Joiners) -> None:
    """No running joiner's state is deleted; the message names the joiner that runs."""
    joiners.topics.create_sources()
    joiners.start()
    other = joiners.add()
    with other.run("reset", "--yes") as reset:
        assert 1 == reset.wait(60)
    assert f"still has members: {joiners.topics.prefix}joiner-0" in reset.log()


def test_a_source_whose_keys_change_their_form_is_refused_until_it_is_written_again(joiners: Joiners) -> None:
    """Each start says so and commits nothing of the row, which would count again in another partition."""
    topics = joiners.topics
    topics.create_sources()
    joiner = count_and_stop(joiners)
    counted = topics.user_info()

    # 1. Another converter writes the keys.
    row: dict[str, object] = {"like_id": 1, "user_id": 2, "tweet_id": 1}
    topics.write("likes", b'{"like_id":1}', json.dumps(row).encode())
    for _ in range(2):
        said = refusal(joiner)
        assert f"{topics.name('likes')} has keys of two forms, an id (plain text) and like_id number (JSON)" in said
    assert counted == topics.user_info()

    # 2. A reset alone does not help, since the topic holds both.
    joiners.reset()
    assert "has keys of two forms" in refusal(joiner)

    # 3. Written again under keys of one form, it is joined.
    topics.recreate("likes")
    topics.rows["likes"]["1"] = row
    topics.write("likes", b'{"like_id":1}', json.dumps(row).encode())
    joiners.reset()
    joiner.start()
    joiners.await_truth()


def test_a_repartitioned_source_is_refused_until_it_is_recreated(joiners: Joiners) -> None:
    """Rows lie in two partitions: continuing would count them twice, and so would joining them again."""
    topics = joiners.topics
    topics.create_sources(partitions=2)
    joiner = count_and_stop(joiners)
    for grown in topics.admin.create_partitions([NewPartitions(topics.name("likes"), 4)]).values():
        grown.result()
    assert f"the topic {topics.name('likes')} had 2 partitions when the state was built, and has 4" in refusal(joiner)
    reset = joiners.reset(status=1)
    assert "run this again; readers keep answering meanwhile" in reset.log()
    topics.recreate("likes")
    topics.put("likes", like_id=5, user_id=2, tweet_id=1)
    joiners.reset()
    joiner.start()
    joiners.await_truth()
    assert 0 == joiner.stop()


def test_user_info_with_more_partitions_is_refused_until_it_is_recreated(joiners: Joiners) -> None:
    """A user's old record would stay where no new one comes, and a reader could keep either."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = count_and_stop(joiners)
    for grown in topics.admin.create_partitions([NewPartitions(topics.name("user-info"), 9)]).values():
        grown.result()
    said = f"the topic {topics.name('user-info')} had 8 partitions when the state was built, and has 9"
    assert said in refusal(joiner)
    assert said in joiners.reset(status=1).log()
    topics.drop("user-info")
    joiners.reset()
    joiner.start()
    joiners.await_truth()
    assert 0 == joiner.stop()


def test_a_changelog_that_lost_its_head_is_refused(joiners: Joiners) -> None:
    """A state restored from what is left would be missing rows."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = count_and_stop(joiners)
    changelog = f"changelog__{topics.prefix}joiner--{topics.name('likes')}--default"
    # Kafka deletes records of no topic that is compacted alone.
    set_policy(topics, changelog, "compact,delete")
    for deleted in topics.admin.delete_records([TopicPartition(changelog, 0, 2)]).values():
        deleted.result()
    set_policy(topics, changelog, "compact")
    assert f"{changelog}[0] has lost its first records: it begins at offset 2" in refusal(joiner)


def test_an_absence_longer_than_a_source_remembers_is_refused(joiners: Joiners) -> None:
    """Deletions may have been compacted away unread; guessing would keep deleted rows for ever."""
    topics = joiners.topics
    topics.create_sources()
    joiner = count_and_stop(joiners)
    # Not before: a joiner that begins its loop again in the middle of its first read would refuse, and rightly.
    topics.configure("likes", delete_retention_ms="1")
    # Gone while nothing was written: nothing can be missing.
    joiner.start_and_wait()
    assert 0 == joiner.stop()
    topics.delete("likes", 0)
    topics.flush()
    assert "has not been read to its end for" in refusal(joiner)


def test_offsets_lost_with_their_group_count_nothing_twice(joiners: Joiners) -> None:
    """Where state lives and its offsets do not, all is read again and every count stays what it was."""
    topics = joiners.topics
    topics.create_sources()
    joiner = count_and_stop(joiners)
    group = f"{topics.prefix}joiner"

    def deleted() -> bool:
        # Its last member is forgotten at the end of its session.
        return topics.admin.delete_consumer_groups([group])[group].exception() is None

    wait_for(deleted, what="the group deleted")
    joiner.start()
    topics.put("likes", like_id=100, user_id=1, tweet_id=1)
    joiners.await_truth()
    topics.delete("likes", 2)
    joiners.await_truth()
    assert "the group's committed offsets are lost; reading the sources again" in joiner.log()


def test_a_topic_recreated_under_a_running_joiner_ends_it(joiners: Joiners) -> None:
    """It does not count another topic's rows on top of the old ones."""
    topics = joiners.topics
    topics.create_sources()
    joiner = joiners.start()
    topics.put("users", user_id=1)
    joiners.await_truth()
    topics.recreate("likes")
    assert 1 == joiner.wait(90)
    assert "was deleted and created again" in joiner.log()


def test_state_behind_a_transaction_that_stays_open_is_restored_too(joiners: Joiners, tmp_path: Path) -> None:
    """What a killed joiner left open hides what others committed after it, and may be committed itself."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = count_and_stop(joiners)
    changelog = f"changelog__{topics.prefix}joiner--{topics.name('likes')}--default"

    def is_open() -> bool:
        ends = [
            topics.admin.list_offsets({TopicPartition(changelog, 0): OffsetSpec.latest()}, isolation_level=level)
            for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        ]
        committed, written = (future.result().offset for end in ends for future in end.values())
        return bool(committed < written)

    # 1. A joiner commits behind the open transaction. The next has nothing on disk, and must know of that like to take
    # it back; it waits until the transaction is aborted.
    joiner.start_and_wait()
    leave_open(topics, changelog)
    topics.put("likes", like_id=50, user_id=1, tweet_id=1)
    joiners.await_truth()
    assert 0 == joiner.stop()
    shutil.rmtree(tmp_path / "joiner-0" / "state")
    assert is_open()
    joiner.start_and_wait()
    assert not is_open()
    topics.delete("likes", 50)
    topics.put("likes", like_id=51, user_id=2, tweet_id=1)
    joiners.await_truth()
    assert 0 == joiner.stop()

    # 2. A single record at the very end is waited for, too.
    leave_open(topics, changelog)
    assert is_open()
    joiner.start_and_wait()
    assert not is_open()
    assert 0 == joiner.stop()


def test_a_killed_predecessors_transaction_ends_at_once(joiners: Joiners) -> None:
    """Killed between its offsets and its commit, it would keep the next from learning what the group has read."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiner = count_and_stop(joiners)
    killed = open_transaction(topics, f"{topics.prefix}joiner-0", seconds=300)
    reading = Consumer({"bootstrap.servers": topics.bootstrap_servers, "group.id": f"{topics.prefix}joiner"})
    killed.send_offsets_to_transaction([TopicPartition(topics.name("likes"), 0, 1)], reading.consumer_group_metadata())
    reading.close()

    joiner.start_and_wait(120)
    topics.put("likes", like_id=50, user_id=1, tweet_id=1)
    joiners.await_truth()
    assert 0 == joiner.stop()


def leave_open(topics: Topics, changelog: str) -> None:
    """Write a record in a transaction that stays open until the broker aborts it."""
    killed = open_transaction(topics, f"{topics.prefix}killed", seconds=18)
    killed.produce(changelog, b"[]", b"never committed", partition=0)
    assert 0 == killed.flush(10)


def open_transaction(topics: Topics, transactional_id: str, seconds: int) -> Producer:
    """Return a producer in an open transaction, which the broker aborts after so long."""
    producer = Producer(
        {
            "bootstrap.servers": topics.bootstrap_servers,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": seconds * 1000,
        }
    )
    producer.init_transactions()
    producer.begin_transaction()
    return producer


def test_topics_exchanged_between_tables_are_refused(joiners: Joiners) -> None:
    """Their ids are known, but what a topic's rows have added is in the other table's counts."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    count_and_stop(joiners)
    likes, tweets = topics.name("likes"), topics.name("tweets")
    said = refusal(joiners.add(LIKES_TOPIC=tweets, TWEETS_TOPIC=likes))
    assert f"the rows of the topic {likes} were joined as those of likes, and are those of tweets here" in said


def test_of_joiners_that_begin_a_state_at_once_the_first_says_what_it_is_built_from(joiners: Joiners) -> None:
    """The later one finds the note that it has written over, and writes it again."""
    topics = joiners.topics
    topics.create("ledger", partitions=1)
    client = {"bootstrap.servers": topics.bootstrap_servers}
    one, other = (StateInputs({}, tables={topic: "likes"}) for topic in ("old-likes", "likes"))
    ledgers = [Ledger(client, topics.name("ledger")) for _ in range(2)]
    ledgers[0].note_inputs(one.encode())
    ledgers[1].note_inputs(other.encode())
    assert [one, one] == [ledger.read().inputs for ledger in ledgers]


def test_records_of_another_group_in_the_internal_topic_are_refused(joiners: Joiners) -> None:
    """It would be counted on top of the sources; a reset recreates the topic."""
    joiners.topics.create_sources(partitions=1)
    count_and_stop(joiners)
    other = joiners.add(JOINER_GROUP=f"{joiners.topics.prefix}other")
    said = refusal(other)
    assert "holds changes that another group of joiners has written, which would count twice" in said
    assert "Try: set USER_INFO_CHANGES_TOPIC to a topic of this group's own" in said


def test_local_state_that_another_program_has_open_ends_the_joiner_in_words(joiners: Joiners, tmp_path: Path) -> None:
    """The error comes up while partitions are assigned, and must not keep the process from ending; nothing is lost."""
    joiners.topics.create_sources(partitions=1)
    joiner = count_and_stop(joiners)
    (store,) = tmp_path.glob("joiner-0/state/**/default/*-likes/0")
    families = {name: Options(raw_mode=True) for name in Rdict.list_cf(str(store))}
    other = Rdict(str(store), Options(raw_mode=True), column_families=families)
    joiner.start()
    assert 1 == joiner.wait(60)
    assert "Traceback" not in joiner.log()
    assert "Error: the local state in JOINER_STATE_DIR cannot be opened or written" in joiner.log()
    del families
    other.close()
    joiner.start()
    joiners.topics.put("likes", like_id=9, user_id=1, tweet_id=1)
    joiners.await_truth()
    assert 0 == joiner.stop()
