"""A copy compared with its topic: differences are named, and records compacted away meanwhile are none."""

from reader.admin.verification import Comparison
from replication.records import Record


def record(user: str, offset: int, value: bytes | None = b"{}") -> Record:
    """Return a record of partition 0."""
    return Record(user.encode(), value, 0, offset, 0)


def find_differences(topic: list[Record], held: list[Record], offset: int) -> dict[str, str]:
    """Return what a comparison finds, the copy having read up to an offset."""
    comparison = Comparison({one.key: one for one in held}.get, {0: offset})
    for one in topic:
        comparison.note(one)
    return {key.decode(): said for key, said in comparison.find_differences(held).items()}


def test_equal_copies_do_not_differ() -> None:
    """Replaced and deleted records are no part of the truth, nor is what lies beyond the copy's offsets."""
    topic = [record("a", 0), record("b", 1), record("a", 2, b"new"), record("b", 3, None), record("c", 9)]
    assert {} == find_differences(topic, [record("a", 2, b"new")], 4)


def test_each_kind_of_difference_is_named() -> None:
    """Missing, surplus, outdated, deleted, and equal in place but not in bytes."""
    topic = [record("a", 0), record("b", 1), record("b", 2), record("c", 3), record("d", 4), record("d", 5, None)]
    held = [record("b", 1), record("c", 3, b"[]"), record("d", 4), record("e", 0)]
    assert {
        "a": "the store holds nothing, the topic 0:0",
        "b": "the store holds 0:1, the topic 0:2",
        "c": "the bytes of 0:3 differ",
        "d": "the store holds 0:4, the topic nothing",
        "e": "the store holds 0:0, the topic nothing",
    } == find_differences(topic, held, 6)


def test_compacted_records_cannot_be_compared() -> None:
    """The copy's record is gone from the prefix, because one beyond its offsets took its place."""
    assert {} == find_differences([record("a", 7)], [record("a", 3)], 5)
