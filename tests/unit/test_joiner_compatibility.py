"""Whether state and topics belong together: each mismatch is refused with a message."""

import pytest

from joiner.core.compatibility import (
    FORMAT,
    RESET,
    ClusterFacts,
    Extent,
    LedgerNotes,
    StateInputs,
    TopicIdentity,
    choose_hint,
    decode_inputs,
    find_mismatches,
)
from joiner.kafka.offsets import oldest_trusted_ms

SOURCE, CHANGES, CHANGELOG = ("likes", 0), ("user-info-changes", 0), ("changelog__j--likes--default", 0)
TOPICS = {
    "likes": TopicIdentity("id-likes", 1),
    "user-info-changes": TopicIdentity("id-changes", 1),
    "user-info": TopicIdentity("id-info", 8),
    "changelog__j--likes--default": TopicIdentity("id-changelog", 1),
}
ALL_READ, ALL_APPLIED, KEPT = Extent(0, 100, 100), Extent(40, 50, 50), Extent(0, 30)
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000


def found(
    *,
    inputs: StateInputs | None = None,
    source: Extent = ALL_READ,
    changes: Extent = ALL_APPLIED,
    changelog: Extent = KEPT,
    forgets_ms: int = 24 * HOUR_MS,
) -> ClusterFacts:
    """Return a start at which all is well, apart from what is given."""
    return ClusterFacts(
        inputs or StateInputs(TOPICS),
        {SOURCE: source},
        {CHANGES: changes},
        {CHANGELOG: changelog},
        {"likes": forgets_ms},
        NOW_MS,
    )


def build_notes(inputs: StateInputs | None = None, hours: float = 1) -> LedgerNotes:
    """Return the notes of a group that was caught up some hours ago."""
    return LedgerNotes(inputs or StateInputs(TOPICS), {SOURCE: NOW_MS - int(hours * HOUR_MS)})


def with_topic(name: str, identity: TopicIdentity) -> StateInputs:
    """Return the inputs with one topic replaced."""
    return StateInputs(TOPICS | {name: identity})


def test_state_that_fits_is_accepted() -> None:
    """The same topics, a short absence, everything still there: no mismatch."""
    assert [] == find_mismatches(build_notes(), found())
    assert [] == find_mismatches(build_notes(), found(source=Extent(0, 200, 100)))


def test_a_first_start_needs_no_notes() -> None:
    """Topics full of rows and no state at all is how every group begins."""
    assert [] == find_mismatches(
        LedgerNotes(), found(source=Extent(5, 100), changes=Extent(0, 0), changelog=Extent(0, 0))
    )


def test_an_absence_in_which_nothing_was_written_may_last_for_ever() -> None:
    """What was not deleted cannot have been forgotten."""
    assert [] == find_mismatches(build_notes(hours=1_000), found())


def test_a_source_that_is_not_compacted_forgets_no_deletions() -> None:
    """Its records go with its retention, which is checked by offsets."""
    assert [] == find_mismatches(
        build_notes(hours=1_000),
        ClusterFacts(StateInputs(TOPICS), {SOURCE: Extent(0, 200, 100)}, {}, {}, {}, NOW_MS),
    )


@pytest.mark.parametrize(
    ("one", "other", "forgotten"),
    [
        (Extent(0, 100, 100), Extent(0, 5), False),
        (Extent(0, 100), Extent(0, 5), True),
        (Extent(0, 0), Extent(0, 0), False),
    ],
)
def test_offsets_are_lost_only_where_the_group_has_read_nothing(one: Extent, other: Extent, *, forgotten: bool) -> None:
    """A partition whose first rows came while no joiner ran is new, and needs no warning."""
    start = ClusterFacts(StateInputs(TOPICS), {("likes", 0): one, ("likes", 1): other}, {}, {}, {}, NOW_MS)
    assert start.is_forgotten is forgotten


@pytest.mark.parametrize(
    ("notes", "start", "said"),
    [
        (LedgerNotes(resetting=True), found(), "a reset of this group was interrupted before its end"),
        (LedgerNotes(), found(), "changelog__j--likes--default holds state, but nothing says what it was built from"),
        (
            LedgerNotes(),
            found(changelog=Extent(0, 0)),
            "the group has read likes, but the state built from it is gone",
        ),
        (
            LedgerNotes(),
            found(source=Extent(0, 100), changes=Extent(41, 42), changelog=Extent(0, 0)),
            "user-info-changes holds changes that another group of joiners has written, which would count twice",
        ),
        (
            build_notes(StateInputs(TOPICS, format=FORMAT + 1)),
            found(),
            f"the state has format {FORMAT + 1}, this version writes format {FORMAT}",
        ),
        (
            build_notes(StateInputs(TOPICS, fields=("username as username", "name as fullName"))),
            found(),
            "the state was built with the fields username as username, name as fullName; this version has others",
        ),
        (
            build_notes(),
            found(inputs=with_topic("likes", TopicIdentity("another", 1))),
            "the topic likes was deleted and created again since the state was built",
        ),
        (
            build_notes(),
            found(inputs=with_topic("user-info-changes", TopicIdentity("another", 1))),
            "the topic user-info-changes was deleted and created again since the state was built",
        ),
        (
            build_notes(),
            found(inputs=with_topic("likes", TopicIdentity("id-likes", 3))),
            "the topic likes had 1 partitions when the state was built, and has 3, so newer records of a key lie in"
            " other partitions than older ones: create it again first",
        ),
        (
            build_notes(
                StateInputs(
                    {name: identity for name, identity in TOPICS.items() if name != "likes"}
                    | {"l": TopicIdentity("", 1)}
                )
            ),
            found(),
            "the state was not built from the topic likes, but from l",
        ),
        (
            build_notes(),
            found(changelog=Extent(7, 30)),
            "changelog__j--likes--default[0] has lost its first records: it begins at offset 7",
        ),
        (
            build_notes(),
            found(source=Extent(120, 200, 100)),
            "likes[0] has lost records before they were read: offsets 100 to 119",
        ),
        (
            build_notes(),
            found(changes=Extent(60, 90, 50)),
            "user-info-changes[0] has lost records before they were read: offsets 50 to 59",
        ),
        (
            build_notes(),
            found(source=Extent(0, 80, 100)),
            "likes[0] ends at offset 80, before offset 100, up to which it was read",
        ),
        (
            build_notes(hours=25),
            found(source=Extent(0, 200, 100)),
            "likes[0] has not been read to its end for 90000 s, and remembers deletions for only 86400 s"
            " (delete.retention.ms)",
        ),
    ],
)
def test_each_mismatch_is_refused_with_a_message(notes: LedgerNotes, start: ClusterFacts, said: str) -> None:
    """Each mismatch has one message that names the topic and the fact."""
    assert [said] == find_mismatches(notes, start)


def test_inputs_are_noted_and_read_back() -> None:
    """What is noted in the ledger says the same when it is read."""
    assert StateInputs(TOPICS) == decode_inputs(StateInputs(TOPICS).encode())


def test_a_local_store_is_trusted_for_half_of_what_its_changelog_remembers() -> None:
    """The other half is a margin, so that no deletion is forgotten between the check and the reading."""
    assert NOW_MS - 12 * HOUR_MS == oldest_trusted_ms(NOW_MS, 24 * HOUR_MS)


def test_a_reset_that_would_delete_what_another_group_needs_is_not_the_first_thing_to_try() -> None:
    """It deletes the internal topic, with all that the other group has not read yet."""
    foreign = find_mismatches(
        LedgerNotes(), found(source=Extent(0, 100), changes=Extent(41, 42), changelog=Extent(0, 0))
    )
    assert choose_hint(foreign).startswith("set USER_INFO_CHANGES_TOPIC to a topic of this group's own; only if")
    assert RESET == choose_hint(find_mismatches(LedgerNotes(resetting=True), found()))
