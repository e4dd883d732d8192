"""What the service needs of each topic's configuration: one set of rules for the joiner's start and for the doctor.

Pure: a role and a configuration go in, violations come out. Knows no client library, and leaves to its callers whether
a violation ends anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from shared.topics import MAX_MESSAGE_BYTES


class Role(Enum):
    """What a topic is for."""

    SOURCE = "source"
    USER_INFO = "user info"
    CHANGES = "changes"
    CHANGELOG = "changelog"
    DEAD_LETTERS = "dead letters"


class Severity(Enum):
    """What a violation costs."""

    LOSES_ROWS_ON_REBUILD = "loses rows on rebuild"
    """The service is exact until it is rebuilt from this topic. The joiner warns and starts: the rows may be in its
    state already, and refusing to start would help none of them."""

    LOSES_DATA = "loses data"
    """What the service itself has written is lost in time. The joiner does not start."""

    REFUSES_RECORDS = "refuses records"
    """All is well until a record comes that is too large for the topic."""


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
}
"""Role of a topic that keeps the newest record of each key for ever -> what is lost where it does not."""

UNLIMITED = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""A topic of differences, each of which must be read once: none may be replaced by a later one, or become too old."""


def check_policy(role: Role, label: str, config: Mapping[str, str]) -> Iterator[Violation]:
    """Yield what a topic's policy would lose.

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
    """Yield whether a topic refuses records that the service may write; sources are the connector's to size.

    Args:
        role: what the topic is for.
        label: what to call it, such as its name.
        config: broker-side property -> value.
    """
    size = config.get("max.message.bytes", "0")
    if role is not Role.SOURCE and int(size) < MAX_MESSAGE_BYTES:
        hint = f"set max.message.bytes={MAX_MESSAGE_BYTES}"
        yield Violation(f"{label} refuses records over {size} bytes", hint, Severity.REFUSES_RECORDS)
