"""What the service needs of each topic: one set of rules for the joiner, starting and running, and for the doctor.

Pure: a role and a configuration go in, violations come out. Knows no client library, and leaves to its callers whether
a violation ends anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from shared.topics import (
    ANY_TIME_MS,
    MAX_MESSAGE_BYTES,
    MAX_RECORD_BYTES,
    MIN_MESSAGE_BYTES,
    SOURCE_MESSAGE_BYTES,
)

ROOM_AROUND_LETTER = 64 * 1024
"""What a dead letter needs besides key and value: headers, and the framing of a batch."""


class Role(Enum):
    """What a topic is for."""

    SOURCE = "source"
    USER_INFO = "user info"
    CHANGES = "changes"
    CHANGELOG = "changelog"
    DEAD_LETTERS = "dead letters"
    LEDGER = "ledger"
    HEARTBEATS = "heartbeats"


class Severity(Enum):
    """What a violation costs."""

    LOSES_ROWS_ON_REBUILD = "loses rows on rebuild"
    """The service is exact until it is rebuilt from this topic. The joiner warns and starts: the rows may be in its
    state already, and refusing to start would help none of them."""

    LOSES_DATA = "loses data"
    """What the service itself has written is lost in time. The joiner does not start, and one that runs ends."""

    LOSES_TIME = "loses time"
    """Readers take the time of sending for that of the source, and call old data fresh. As bad as lost data."""

    REFUSES_ALL = "refuses all"
    """Nothing can be written. The joiner does not start, and one that runs ends."""

    REFUSES_RECORDS = "refuses records"
    """All is well until a record comes that the topic refuses, and then for ever. The joiner does not start; one that
    runs warns, since ending would help nobody, and ends with the first record that is refused."""

    CUTS_LETTERS = "cuts letters"
    """Dead letters are cut to what their topic accepts. Nothing stops."""

    DEPENDS_ON_BROKER = "depends on the broker"
    """Brokers of some versions refuse every record; those that the service is tested with do not."""

    STOPS_SOURCE = "stops the source"
    """A row that is served may be too large for its topic once it is changed. Only whoever owns the source can tell."""


ENDS_START = frozenset({Severity.LOSES_DATA, Severity.LOSES_TIME, Severity.REFUSES_ALL, Severity.REFUSES_RECORDS})
"""What a joiner does not start with."""

ENDS_RUN = ENDS_START - {Severity.REFUSES_RECORDS}
"""What a joiner that runs ends with."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a topic's configuration breaks.

    Args:
        what: what is wrong, naming the topic.
        hint: which configuration is right.
        severity: what it costs.
    """

    what: str
    hint: str
    severity: Severity


LOST = {
    Role.SOURCE: "rows that nothing changes are",
    Role.USER_INFO: "users that nothing changes are",
    Role.CHANGELOG: "state that nothing changes is",
    Role.LEDGER: "notes that nothing changes are",
}
"""Role of a topic that keeps the newest record of each key for ever -> what is lost where it does not."""

UNLIMITED = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""A topic of differences, each of which must be read once: none may be replaced by a later one, or become too old."""

SMALL = frozenset({Role.LEDGER, Role.HEARTBEATS, Role.DEAD_LETTERS})
"""Roles of topics whose records are small, or may be cut."""

OLDEST_RECORD_MS = 100 * 365 * 24 * 3600 * 1000
"""How old a record's time may be in a topic that carries the source's: older than any computer's clock."""

CLOCKS_DIFFER_MS = 60 * 60 * 1000
"""How far the joiner's clock and a broker's may differ, retries included; Kafka's default for times to come."""


def check_topic(role: Role, label: str, config: Mapping[str, str], replicas: int | None = None) -> Iterator[Violation]:
    """Yield all rules that a topic breaks.

    Args:
        role: what the topic is for.
        label: what to call it, such as its name.
        config: broker-side property -> value.
        replicas: of the partition that has the fewest; None where it is not known.
    """
    yield from check_policy(role, label, config)
    yield from check_size(role, label, config)
    if role is not Role.SOURCE:
        yield from _check_time(role, label, config)
        if replicas is not None:
            yield from _check_replicas(label, config, replicas)


def check_policy(role: Role, label: str, config: Mapping[str, str]) -> Iterator[Violation]:
    """Yield what a topic's policy would lose, or refuse.

    Args:
        role: what the topic is for.
        label: what to call it, such as its name.
        config: broker-side property -> value.
    """
    if role in LOST:
        yield from _check_compaction(role, label, config)
    elif role is Role.CHANGES and any(config.get(name) != value for name, value in UNLIMITED.items()):
        wanted = ", ".join(f"{name}={value}" for name, value in UNLIMITED.items())
        yield Violation(f"{label} may lose changes before they are read", f"set {wanted}", Severity.LOSES_DATA)
    elif role is Role.DEAD_LETTERS and "compact" in config.get("cleanup.policy", ""):
        what = f"{label} has cleanup.policy={config['cleanup.policy']}: letters without a key are refused"
        yield Violation(what, "set cleanup.policy=delete", Severity.REFUSES_RECORDS)


def _check_compaction(role: Role, label: str, config: Mapping[str, str]) -> Iterator[Violation]:
    policy = config.get("cleanup.policy", "unknown")
    if policy == "compact":
        return
    # `compact,delete` too: it deletes the only record of a row that has not changed for longer than the retention.
    what = f"{label} has cleanup.policy={policy}: {LOST[role]} lost in time"
    hint = "set cleanup.policy=compact"
    if role is Role.SOURCE:
        yield Violation(f"{what}, and missing after a rebuild", hint, Severity.LOSES_ROWS_ON_REBUILD)
    else:
        yield Violation(what, hint, Severity.LOSES_DATA)


def check_size(role: Role, label: str, config: Mapping[str, str]) -> Iterator[Violation]:
    """Yield whether a topic refuses records that belong into it.

    Args:
        role: what the topic is for.
        label: what to call it, such as its name.
        config: broker-side property -> value.
    """
    size = int(config.get("max.message.bytes", "0"))
    if role is Role.SOURCE:
        if size < SOURCE_MESSAGE_BYTES:
            what = f"{label} takes records of {size} bytes: a row that is served may be too large for it once changed"
            hint = f"set max.message.bytes={SOURCE_MESSAGE_BYTES}, and the connector's max.request.size as well"
            yield Violation(what, hint, Severity.STOPS_SOURCE)
    elif size < (MIN_MESSAGE_BYTES if role in SMALL else MAX_MESSAGE_BYTES):
        hint = f"set max.message.bytes={MAX_MESSAGE_BYTES}"
        yield Violation(f"{label} refuses records over {size} bytes", hint, Severity.REFUSES_RECORDS)
    elif role is Role.DEAD_LETTERS and size < MAX_MESSAGE_BYTES:
        what = f"{label} takes records of {size} bytes: larger dead letters are cut, and cannot be replayed"
        yield Violation(what, f"set max.message.bytes={MAX_MESSAGE_BYTES}", Severity.CUTS_LETTERS)


def letter_room(config: Mapping[str, str]) -> int:
    """Return how many bytes key and value of a dead letter may have together, given its topic's configuration."""
    return min(int(config["max.message.bytes"]) - ROOM_AROUND_LETTER, MAX_RECORD_BYTES)


def _check_time(role: Role, label: str, config: Mapping[str, str]) -> Iterator[Violation]:
    if config.get("message.timestamp.type", "CreateTime") != "CreateTime":
        # Then the broker looks at no record's time, and refuses none for it.
        if role is Role.USER_INFO:
            what = (
                f"{label} has message.timestamp.type={config['message.timestamp.type']}: the broker writes its own time"
                " over the source's, so old data would pass for fresh"
            )
            yield Violation(what, "set message.timestamp.type=CreateTime", Severity.LOSES_TIME)
        return
    past = OLDEST_RECORD_MS if role is Role.USER_INFO else CLOCKS_DIFFER_MS
    bounds = {
        "message.timestamp.before.max.ms": (past, "older"),
        "message.timestamp.after.max.ms": (CLOCKS_DIFFER_MS, "later"),
        "message.timestamp.difference.max.ms": (past, "further from its clock"),  # of brokers before 4.0
    }
    for name, (least, refused) in bounds.items():
        value = int(config.get(name, ANY_TIME_MS))
        if value < least:
            what = f"{label} has {name}={value}: the broker refuses records that are {refused} than that"
            yield Violation(what, f"set {name}={ANY_TIME_MS}", Severity.REFUSES_RECORDS)


def _check_replicas(label: str, config: Mapping[str, str], replicas: int) -> Iterator[Violation]:
    needed = int(config.get("min.insync.replicas", "1"))
    if replicas < needed:
        # Brokers since 3.7 take the smaller of the two numbers, and no client is told which version a broker has.
        what = f"{label} has replication factor {replicas} but min.insync.replicas={needed}: some brokers refuse all"
        hint = f"set min.insync.replicas={replicas}, or reassign its partitions to more brokers"
        yield Violation(what, hint, Severity.DEPENDS_ON_BROKER)
