"""What the doctor says of the records that a source topic holds."""

from collections.abc import Iterable

from doctor.checks import Verdict
from doctor.source_rows import SourceRows
from joiner.core.plan import Table
from tests.support.built_in import LIKES, USERS

LIKE = b'{"like_id":%d,"user_id":1}'


def judge(
    records: Iterable[tuple[int, bytes | None, bytes | None]], table: Table = LIKES
) -> list[tuple[str, str, str]]:
    """Return the findings about a topic with records of partitions: partition, key, value."""
    rows = SourceRows("likes", table)
    for partition, key, value in records:
        rows.take(partition, key, value)
    return [(finding.verdict, finding.what, finding.hint) for finding in rows.judge()]


def test_rows_that_keep_their_partition_are_well() -> None:
    """However often they change, or are deleted; what cannot be read counts for nothing."""
    records = [
        (0, b"1", LIKE % 1),
        (1, b"2", LIKE % 2),
        (0, b"1", LIKE % 1),
        (0, b"1", None),
        (2, b"1", b"{"),
        (2, b'{"id":1}', None),
        (2, None, LIKE % 1),
    ]
    assert [(Verdict.WELL, "topic likes: 2 rows, each in one partition, keys of one form", "")] == judge(records)
    assert [(Verdict.WELL, "topic likes: 0 rows, each in one partition, keys of one form", "")] == judge([], USERS)


def test_rows_in_two_partitions_are_named() -> None:
    """Writers with different partitioners: the same bytes, another place; a deletion that went astray as well."""
    records: list[tuple[int, bytes, bytes | None]] = [(0, b"%d" % row, LIKE % row) for row in range(1, 7)]
    records += [(partition, b"%d" % row, None) for row in range(1, 6) for partition in (3, 0)]
    records += [(1, b'{"like_id":6}', b"{")]
    ((verdict, what, hint),) = judge(records)
    assert Verdict.WRONG == verdict
    assert (
        "topic likes: 5 of 6 rows lie in several partitions, and count in each, such as 1 in 0 and 3, 2 in 0 and 3,"
        " 3 in 0 and 3" == what
    )
    assert "partitioner=murmur2_random" in hint
    assert "Reload source topics" in hint


def test_keys_of_two_forms_are_named() -> None:
    """With what differs, and how many records have each, be the row's partition another or not."""
    records = [(0, b"1", LIKE % 1), (0, b"1", LIKE % 1), (0, b'{"like_id":1}', LIKE % 1), (1, b'{"like_id":2}', None)]
    records += [(0, b"3", LIKE % 3)]
    ((verdict, what, hint),) = judge(records)
    assert Verdict.WRONG == verdict
    assert "topic likes has keys of two forms: an id (plain text) (3 records) and like_id number (JSON) (2)" == what
    assert "in one form" in hint


def test_a_row_of_several_columns_is_named_by_them() -> None:
    """Its identity begins with a character that no one should see."""
    key, value = b'{"like_id":1,"tenant":2}', b'{"like_id":1,"tenant":2,"user_id":1}'
    ((_, what, _),) = judge([(0, key, value), (1, key, value)])
    assert what.endswith('such as {"like_id":"1","tenant":"2"} in 0 and 1')
