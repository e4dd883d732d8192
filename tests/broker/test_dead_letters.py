"""Dead letters from the command line: listed, counted, fixed, replayed without undoing what is newer."""

import json
import math
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from joiner.dead_letters.letter import DeadLetter, UnreadableRecord
from joiner.dead_letters.replay import Replayer
from joiner.dead_letters.replay_policy import Decision
from shared.errors import Interrupted
from tests.support.built_in import LIKES
from tests.support.joiners import Joiners
from tests.support.topics import Topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.broker


def run_dead_letters(joiners: Joiners, *arguments: str) -> str:
    """Run `python -m joiner dead-letters …` to its end, and return what it printed."""
    with joiners.programs[0].run("dead-letters", *arguments) as program:
        assert 0 == program.wait(60), program.log()
        return program.log()


def test_fixed_letters_are_replayed_unless_the_row_is_newer_already(joiners: Joiners, tmp_path: Path) -> None:
    """A fixed row arrives; one that its source has written since stays as it is; one still bad is left out."""
    topics = joiners.topics
    topics.create_sources()
    joiners.start()
    topics.put("users", user_id=1, username="alice")
    topics.send("likes", b"10", b'{"like_id": 10, "user_id": ')
    topics.send("users", b"1", b'{"user_id": 1, "username": {"first": "old"}}')
    topics.send("likes", b"11", b"{")
    topics.put("users", user_id=1, username="alice, renamed")
    wait_for(lambda: len(topics.messages("user-info-dead-letters")) == 3, what="three dead letters")

    # 1. They are listed, and counted by reason.
    listed = run_dead_letters(joiners)
    assert "       2  bad-json" in listed
    assert "       1  not-text" in listed
    assert f"{topics.name('users')}[" in listed

    # 2. Two of them are fixed in a file; the third stays as it is.
    letters = [json.loads(line) for line in run_dead_letters(joiners, "--json").splitlines()]
    for letter in letters:
        if letter["key"] == "10":
            letter["value"] = '{"like_id": 10, "user_id": 1}'
        if letter["key"] == "1":
            letter["value"] = '{"user_id": 1, "username": "old"}'
    file = tmp_path / "edited.jsonl"
    file.write_text("".join(json.dumps(letter) + "\n" for letter in letters))

    # 3. Nothing is written until it is asked for; then only the like is.
    dry = run_dead_letters(joiners, "replay", "--from", str(file))
    assert "Nothing is written yet" in dry
    done = run_dead_letters(joiners, "replay", "--from", str(file), "--yes")
    assert "superseded by" in done
    assert "still unreadable bad-json" in done
    assert "1 written to their source topics again" in done
    topics.rows["likes"]["10"] = {"like_id": 10, "user_id": 1}
    joiners.await_truth()
    assert b"alice, renamed" in topics.latest("user-info")[b"1"]

    # 4. Asked again, what was put back is the newer record itself.
    assert "0 written to their source topics again" in run_dead_letters(joiners, "replay", "--from", str(file), "--yes")


def test_a_letter_that_its_topic_has_outlived_is_written_only_where_that_is_asked_for(
    joiners: Joiners, tmp_path: Path
) -> None:
    """Its row may have been deleted and the deletion forgotten; while the topic holds the letter, it is not."""
    topics = joiners.topics
    topics.create_sources(partitions=1)
    joiners.start()
    topics.put("users", user_id=1, username="alice")
    topics.send("likes", b"10", b"{")
    wait_for(lambda: len(topics.messages("user-info-dead-letters")) == 1, what="a dead letter")
    letter = json.loads(run_dead_letters(joiners, "--json"))
    file = tmp_path / "edited.jsonl"
    file.write_text(json.dumps({**letter, "value": '{"like_id": 10, "user_id": 1}'}))

    # 1. Deletions are forgotten at once, but the letter is still there: nothing behind it was compacted away.
    topics.configure("likes", delete_retention_ms="0")
    assert "       1  replay\n" in run_dead_letters(joiners, "replay", "--from", str(file))

    # 2. It is gone, and so may be what came behind it.
    topics.cut("likes", 0, letter["offset"] + 1)
    refused = run_dead_letters(joiners, "replay", "--from", str(file), "--yes")
    assert "too old to know it is " in refused
    assert "       1  too old to know\n" in refused
    assert "0 written to their source topics again" in refused

    # 3. Who knows that the row is there has it written.
    done = run_dead_letters(joiners, "replay", "--from", str(file), "--even-if-forgotten", "--yes")
    assert "1 written to their source topics again" in done
    topics.rows["likes"]["10"] = {"like_id": 10, "user_id": 1}
    joiners.await_truth()


class Source:
    """A source that writes its rows in transactions."""

    def __init__(self, topics: Topics) -> None:
        self._topic = topics.name("likes")
        self._producer = Producer(
            {"bootstrap.servers": topics.bootstrap_servers, "transactional.id": f"{topics.prefix}source"}
        )
        self._producer.init_transactions(60)

    def write(self, value: bytes) -> None:
        """Write a row in a transaction that stays open."""
        self._producer.begin_transaction()
        self._producer.produce(self._topic, value, b"10")
        assert 0 == self._producer.flush(60)

    def commit(self) -> None:
        """End the transaction."""
        self._producer.commit_transaction(60)


OLD, NEW = b'{"like_id": 10, "user_id": 1}', b'{"like_id": 10, "user_id": 2}'


@pytest.fixture
def likes(kafka: str) -> Iterator[Topics]:
    """Give a topic likes of one partition that holds one bad record."""
    topics = Topics(kafka)
    topics.create("likes", partitions=1)
    topics.send("likes", b"10", b"{")
    topics.flush()
    yield topics
    topics.drop("likes")


def replayer(topics: Topics, patience_seconds: float, kind: type[Replayer] = Replayer) -> Replayer:
    """Return what replays into this topic."""
    likes = topics.name("likes")
    return kind({"bootstrap.servers": topics.bootstrap_servers}, {likes: LIKES}, {likes: 1}, {}, patience_seconds)


def plan_replay(topics: Topics, replayer: Replayer) -> list[Decision]:
    """Return what is decided about the bad record, fixed to be the old row."""
    likes = topics.name("likes")
    return replayer.plan(
        [DeadLetter(UnreadableRecord(likes, 0, 0, b"10", OLD, 1_000), "bad-json", "why")], {likes: math.inf}, 2_000
    )


def test_nothing_is_written_while_a_transaction_of_the_source_does_not_end(likes: Topics) -> None:
    """What it wrote before the letters may be newer, and cannot be read yet."""
    source, replays = Source(likes), replayer(likes, 1.0)
    source.write(NEW)
    decisions = plan_replay(likes, replays)
    assert ["replay"] == [decision.outcome for decision in decisions]
    with pytest.raises(Interrupted, match=r"has not ended within 1 s, .* nothing is written to .*; run this again"):
        replays.do(decisions)
    source.commit()
    assert [b"{", NEW] == [message.value() for message in likes.messages("likes")]
    assert ["superseded"] == [decision.outcome for decision in plan_replay(likes, replays)]


class Raced(Replayer):
    """A replayer whose source opens a transaction just before the letters are written."""

    source: Source
    commit_after_seconds: float | None = None

    def _write(self, topic: str, records: Iterable[object]) -> set[tuple[int, int]]:
        if self._first:
            self._first = False
            self.source.write(NEW)
            if self.commit_after_seconds is not None:
                threading.Timer(self.commit_after_seconds, self.source.commit).start()
        return super()._write(topic, records)  # type: ignore[arg-type] # as they were handed in

    _first = True


def test_what_a_transaction_wrote_before_the_letters_is_written_behind_them(likes: Topics) -> None:
    """The end of the transaction is awaited, since only then can be read what it wrote."""
    replays = replayer(likes, 60.0, Raced)
    assert isinstance(replays, Raced)
    replays.source, replays.commit_after_seconds = Source(likes), 1.0
    assert 1 == replays.do(plan_replay(likes, replays))
    assert [b"{", NEW, OLD, NEW] == [message.value() for message in likes.messages("likes")]


def test_rows_that_an_open_transaction_leaves_in_doubt_are_named(likes: Topics) -> None:
    """The operator learns which rows their source should write again."""
    replays = replayer(likes, 1.0, Raced)
    assert isinstance(replays, Raced)
    replays.source = Source(likes)
    with pytest.raises(Interrupted, match=r"the letters are written; .* have the source write .* again, .*: 10$"):
        replays.do(plan_replay(likes, replays))
    replays.source.commit()


def test_a_deletion_under_the_unreadable_key_that_a_letter_came_with_is_newer(likes: Topics) -> None:
    """The row's key was mended by hand; the deletion behind it lies in the topic, where no id can be read from it."""
    unreadable = b'{"id":10}'
    likes.send("likes", unreadable, OLD)
    likes.send("likes", unreadable, None)
    likes.flush()
    name = likes.name("likes")
    record = UnreadableRecord(name, 0, 1, b"10", OLD, 1_000)
    mended = DeadLetter(record, "bad-key", "why", edited_key=True, received_key=unreadable)
    (decision,) = replayer(likes, 1.0).plan([mended], {name: math.inf}, 2_000)
    assert ("superseded", f"by {name}[0]@2") == (decision.outcome, decision.detail)
