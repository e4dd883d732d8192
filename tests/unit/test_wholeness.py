"""What the marks in a copy say of it: whether its values are whole, and how far the joiner's build is."""

from pathlib import Path

from reader.replication.copy_writer import read_wholeness
from reader.storage.store import Store
from replication.records import Record
from replication.wholeness import BuildProgress, Wholeness
from shared.builds import BuildMark
from shared.shards import Share

NOT_WHOLE, WHOLE = (BuildMark(0, 2, "b1", whole=False), BuildMark(0, 2, "b1", whole=True))


def test_a_topic_is_whole_once_every_part_says_so_in_every_partition() -> None:
    """Two parts feed two partitions, one each: neither one alone nor one without a mark is enough."""
    wholeness = Wholeness(Share(2))
    seen = [wholeness.whole]
    for partition, mark in ((0, WHOLE), (1, NOT_WHOLE._replace(part=1)), (1, WHOLE._replace(part=1)), (0, NOT_WHOLE)):
        wholeness.note(partition, mark)
        seen.append(wholeness.whole)
    assert [None, False, False, True, False] == seen


def test_several_parts_of_one_partition_are_waited_for() -> None:
    """Four parts feed one partition."""
    wholeness = Wholeness(Share(1))
    for part in range(4):
        assert wholeness.whole is not True
        wholeness.note(0, BuildMark(part, 4, "b1", whole=True))
    assert wholeness.whole is True


def test_marks_of_a_former_number_of_parts_count_no_more(tmp_path: Path) -> None:
    """The internal topic was created again: in memory, and in the copy that a restart reads them from."""
    marks = [BuildMark(0, 2, "b1", whole=False), BuildMark(1, 2, "b1", whole=True), BuildMark(0, 1, "b2", whole=True)]
    wholeness = Wholeness(Share(1))
    for mark in marks:
        wholeness.note(0, mark)
    assert wholeness.whole is True
    store = Store(tmp_path)
    store.apply([], {0: 3}, [Record(mark.key, mark.value, 0, offset, 0) for offset, mark in enumerate(marks)])
    assert [(0, marks[-1])] == store.marks()
    assert read_wholeness(store, Share(1)).whole is True
    store.close()


def test_progress_is_the_mean_of_all_parts_and_the_time_of_the_slowest() -> None:
    """A part that is whole, and says no more, is done; one that does not say leaves both unknown."""
    wholeness = Wholeness(Share(1))
    assert BuildProgress() == wholeness.progress
    wholeness.note(0, BuildMark(0, 2, "b1", whole=False, percent=50, seconds_left=9, waits_for="the snapshot"))
    assert BuildProgress(None, None, "the snapshot") == wholeness.progress
    wholeness.note(0, BuildMark(1, 2, "b1", whole=False, percent=0, seconds_left=30))
    assert BuildProgress(25.0, 30, "the snapshot") == wholeness.progress
    wholeness.note(0, BuildMark(1, 2, "b1", whole=True))
    assert BuildProgress(75.0, 9, "the snapshot") == wholeness.progress
    wholeness.note(0, BuildMark(0, 2, "b1", whole=True))
    assert BuildProgress() == wholeness.progress


def test_a_rebuild_shows_how_far_it_is_while_values_stay_whole() -> None:
    """What is there from before it is served meanwhile."""
    wholeness = Wholeness(Share(1))
    wholeness.note(0, BuildMark(0, 1, "b2", whole=True, percent=10, seconds_left=0))
    assert (True, BuildProgress(10.0, 0.0)) == (wholeness.whole, wholeness.progress)
