"""Judges what source topics hold: rows that lie in two partitions, and keys of two forms. Pure.

A joiner sees only its own partitions: it refuses keys of two forms, but cannot notice writers that place the same key
in different partitions. Knows nothing of how records are fetched.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from doctor.checks import Finding, Verdict
from joiner.core.key_forms import TEXT, compile_form, describe_change, read_form
from joiner.core.keys import COMPOSITE_PREFIX
from joiner.core.plan import Table
from joiner.core.rows import parse_row
from shared.errors import BadRow

if TYPE_CHECKING:
    from joiner.core.avro import AvroDecoder

RELOAD = 'then do what "Reload source topics" in docs/operations.md says'

SHOWN_ROWS = 3


class SourceRows:
    """Takes the records of one source topic, and judges them in the end. Keeps each row's id.

    Args:
        topic: its name.
        table: the table whose rows it holds.
        avro: reads Avro; None: no schema registry is known.
    """

    def __init__(self, topic: str, table: Table, avro: "AvroDecoder | None" = None) -> None:
        self._avro = avro
        self._topic = topic
        self._table = table
        self._partition_of: dict[str, int] = {}
        self._divided: defaultdict[str, set[int]] = defaultdict(set)
        self._forms: Counter[str] = Counter()
        self._form = TEXT
        self._matches = compile_form(TEXT)

    def take(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Note where a record's row lies, and its key's form; what no row can be read from counts for nothing."""
        try:
            row_id = parse_row(self._table, key, value, self._avro).row_id
        except BadRow:
            return
        self._forms[self._read_form(key or b"")] += 1
        first = self._partition_of.setdefault(row_id, partition)
        if partition != first:
            self._divided[row_id] |= {first, partition}

    def _read_form(self, key: bytes) -> str:
        # Reading a form out of a large schema takes longer than reading the row.
        if not self._matches(key):
            self._form = read_form(key, self._avro)
            self._matches = compile_form(self._form)
        return self._form

    def judge(self) -> Iterator[Finding]:
        """Yield the findings about the topic."""
        (form, most), *others = self._forms.most_common() or [("", 0)]
        for other, records in others:
            one, another = describe_change(form, other)
            yield Finding(
                Verdict.WRONG,
                f"topic {self._topic} has keys of two forms: {one} ({most:,} records) and {another} ({records:,})",
                f"have all writers write keys in one form, {RELOAD}",
            )
        if self._divided:
            named = [
                f"{row_id.removeprefix(COMPOSITE_PREFIX):.100} in {' and '.join(map(str, sorted(partitions)))}"
                for row_id, partitions in sorted(self._divided.items())[:SHOWN_ROWS]
            ]
            yield Finding(
                Verdict.WRONG,
                f"topic {self._topic}: {len(self._divided):,} of {len(self._partition_of):,} rows lie in several"
                f" partitions, and count in each, such as {', '.join(named)}",
                "have all writers use one partitioner: Java's clients do, librdkafka's with"
                f" partitioner=murmur2_random; {RELOAD}",
            )
        if not others and not self._divided:
            what = f"topic {self._topic}: {len(self._partition_of):,} rows, each in one partition, keys of one form"
            yield Finding(Verdict.WELL, what)
