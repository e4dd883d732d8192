"""Whether state and topics belong together: each mismatch is refused with a message."""

from dataclasses import replace

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
from joiner.core.store_age import oldest_trusted_ms
from shared.view.model import BUILT_IN, Aggregate, Condition, Field, Source, View

SOURCE, CHANGES, CHANGELOG = ("likes", 0), ("user-info-changes", 0), ("changelog__j--likes--default", 0)
TOPICS = {
    "likes": TopicIdentity("id-likes", 1),
    "user-info-changes": TopicIdentity("id-changes", 1),
    "user-info": TopicIdentity("id-info", 8),
    "changelog__j--likes--default": TopicIdentity("id-changelog", 1),
}
ALL_READ, ALL_APPLIED, KEPT = Extent(0, 100, 100), Extent(40, 50, 50), Extent(0, 30)
HOUR_MS = 3_600_000
WIDE = View(
    "shops",
    "id",
    "shop",
    (Field("opened", "opened", "date"), Field("fee", "fee", "decimal", 2)),
    (
        Aggregate("open", "orders", "shop", (Condition("status", frozenset(["b", "a"]), negated=True),)),
        Aggregate("spent", "orders", "shop", (Condition("gone", frozenset(), accepts_null=True),), "cents", 2),
        Aggregate("units", "orders", "shop", (), "units"),
    ),
    (Source("shops", "shops", ("id",)), Source("orders", "orders", ("id", "line"))),
)
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
            build_notes(
                StateInputs(TOPICS, view=replace(BUILT_IN, fields=(*BUILT_IN.fields[:7], Field("bg", "bg_url"))))
            ),
            found(),
            "the state was joined for another view: there bg is users.bg_url, text, here backgroundImageUrl is"
            " users.background_image_url, text",
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


def test_topics_that_were_exchanged_between_tables_are_refused() -> None:
    """Each topic's rows are kept by themselves, so what they added would stay with the other table's counts."""
    topics = TOPICS | {"orders": TopicIdentity("id-orders", 1)}
    before = StateInputs(topics, tables={"likes": "likes", "orders": "orders"})
    after = StateInputs(topics, tables={"likes": "orders", "orders": "likes"})
    assert [
        "the rows of the topic likes were joined as those of likes, and are those of orders here",
        "the rows of the topic orders were joined as those of orders, and are those of likes here",
    ] == find_mismatches(build_notes(before), found(inputs=after))
    assert [] == find_mismatches(build_notes(StateInputs(topics)), found(inputs=after))


@pytest.mark.parametrize("view", [BUILT_IN, WIDE, replace(WIDE, fields=()), replace(BUILT_IN, aggregates=())])
def test_inputs_are_noted_and_read_back(view: View) -> None:
    """What is noted in the ledger says the same when it is read."""
    inputs = StateInputs(TOPICS, view=view, tables={"likes": "likes"})
    assert inputs == decode_inputs(inputs.encode())


def test_what_an_earlier_version_noted_is_the_built_in_view_with_its_fields() -> None:
    """Its fields were edited in its source; a file that declares the same view goes on with its state."""
    noted = b'{"fields": ["username as username", "pro as pronouns"], "format": 1, "topics": {}}'
    fields = (Field("username", "username"), Field("pronouns", "pro"))
    assert replace(BUILT_IN, fields=fields) == decode_inputs(noted).view
    assert BUILT_IN == decode_inputs(b'{"format": 1, "topics": {}}').view
    assert noted == StateInputs({}, view=replace(BUILT_IN, fields=fields)).encode()


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (replace(BUILT_IN, fields=BUILT_IN.fields[::-1]), "its keys or conditions stand in another order"),
        (replace(BUILT_IN, fields=BUILT_IN.fields[1:]), "there is nothing in place of it, here username is users.us"),
        (replace(BUILT_IN, id_key="id"), "there id is users.user_id, text, here userId is users.user_id, text"),
        (
            replace(
                BUILT_IN, aggregates=(replace(BUILT_IN.aggregates[0], owner="author_id"), *BUILT_IN.aggregates[1:])
            ),
            "there tweetCount is rows of tweets by author_id, here tweetCount is rows of tweets by user_id",
        ),
        (
            replace(BUILT_IN, sources=(*BUILT_IN.sources[:3], Source("likes", "likes", ("user_id", "tweet_id")))),
            "there the key of likes is user_id, tweet_id, here the key of likes is like_id",
        ),
        (WIDE, "; and 12 more"),
    ],
)
def test_state_of_another_view_is_refused_with_what_differs(view: View, said: str) -> None:
    """Its values would be taken for others; the topics that a view reads are compared by themselves."""
    (message,) = find_mismatches(build_notes(StateInputs(TOPICS, view=view)), found())
    assert message.startswith("the state was joined for another view: ")
    assert said in message


def test_a_view_is_the_same_whatever_its_topics_are_called() -> None:
    """And in whatever order its tables stand."""
    renamed = tuple(Source(each.table, f"db.{each.table}", each.key) for each in BUILT_IN.sources)
    other = replace(BUILT_IN, sources=renamed[::-1])
    assert [] == find_mismatches(build_notes(), found(inputs=StateInputs(TOPICS, view=other)))
    assert StateInputs(TOPICS).encode() == StateInputs(TOPICS, view=other).encode()


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
