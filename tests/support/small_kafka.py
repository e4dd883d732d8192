"""A small Kafka in memory: logs, offsets, and transactions as librdkafka and brokers end them, some requests late.

A producer's transaction is open from its first record to the EndTxn that arrives, whichever transaction that was meant
for, as long as it carries the producer's epoch. A record that follows behind such an end is refused, as brokers do
since KIP-890's first part. Records are read in order, and none behind one that is neither committed nor aborted.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from joiner.core.chain import Link


class BrokenOff(Exception):  # noqa: N818 - reads as what it reports
    """Kafka refuses the rest of a transaction."""


@dataclass
class Entry:
    """One record of a log.

    Args:
        key: the record's key.
        value: its value; None deletes.
        links: places in chains, where it is a pack.
        fate: what became of its transaction.
    """

    key: bytes
    value: bytes | None
    links: Sequence[Link] = ()
    fate: str = "open"


@dataclass
class SmallKafka:
    """All brokers.

    Args:
        logs: log -> its entries; None in place of one that was compacted away or deleted.
        offsets: log -> the next offset that the group will read.
        late: EndTxn requests that were repeated, and have not arrived yet: producer, epoch, whether it commits.
        tore: True once one of them has ended another transaction than its own.
    """

    logs: defaultdict[str, list[Entry | None]] = field(default_factory=lambda: defaultdict(list))
    offsets: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    late: list[tuple[str, int, bool]] = field(default_factory=list)
    tore: bool = False
    _epochs: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _open: dict[str, tuple[list[Entry], dict[str, int]]] = field(default_factory=dict)

    def init(self, producer: str) -> int:
        """Give a producer a new epoch, which aborts what it has open."""
        self._end(producer, commits=False)
        self._epochs[producer] += 1
        return self._epochs[producer]

    def begin(self, producer: str) -> None:
        """Open a transaction, as the first record does, or the offsets where no record is open any more."""
        self._open[producer] = [], {}

    def send(self, producer: str, log: str, entry: Entry) -> None:
        """Append a record to a log.

        Raises:
            BrokenOff: the transaction that it belongs to has been ended.
        """
        if producer not in self._open:
            raise BrokenOff
        self._open[producer][0].append(entry)
        self.logs[log].append(entry)

    def send_offsets(self, producer: str, offsets: Mapping[str, int]) -> None:
        """Add offsets to the open transaction, or to a new one."""
        self._open.setdefault(producer, ([], {}))[1].update(offsets)

    def end(self, producer: str, epoch: int, *, commits: bool, repeats: bool) -> None:
        """End a transaction; a request that is repeated arrives once now, and once whenever it likes."""
        self._end(producer, commits=commits)
        if repeats:
            self.late.append((producer, epoch, commits))

    def deliver_late(self) -> None:
        """Have the oldest late request arrive."""
        if self.late:
            producer, epoch, commits = self.late.pop(0)
            if epoch == self._epochs[producer] and producer in self._open:
                self.tore = True
                self._end(producer, commits=commits)

    def read(self, log: str, most: int) -> Iterator[tuple[int, Entry]]:
        """Yield the next committed records of a log for the group, with their offsets."""
        for offset, entry in enumerate(self.logs[log][self.offsets[log] :], self.offsets[log]):
            if most == 0 or (entry is not None and entry.fate == "open"):
                return
            if entry is not None and entry.fate == "committed":
                most -= 1
                yield offset, entry

    def compact(self, log: str) -> None:
        """Forget what a later record of the same key replaces."""
        seen: set[bytes] = set()
        for offset, entry in reversed([*enumerate(self.logs[log])]):
            if entry is not None and entry.fate == "committed":
                if entry.key in seen:
                    self.logs[log][offset] = None
                seen.add(entry.key)

    def trim(self, log: str) -> None:
        """Delete what the group has read."""
        self.logs[log][: self.offsets[log]] = [None] * self.offsets[log]

    def _end(self, producer: str, *, commits: bool) -> None:
        entries, offsets = self._open.pop(producer, ([], {}))
        for entry in entries:
            entry.fate = "committed" if commits else "aborted"
        if commits:
            self.offsets.update(offsets)
