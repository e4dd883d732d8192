"""What the marks of a build in user-info say."""

import pytest

from shared.builds import BuildMark, parse_mark

KEY = b"\xffbuild/3/8"
VALUE = b'{"build": "b1", "whole": false, "percent": 41.5, "secondsLeft": 12, "waitsFor": "the snapshot"}'


def test_a_mark_is_read_as_it_was_written() -> None:
    """Key and value are those that the documents name."""
    mark = BuildMark(3, 8, "b1", whole=False, percent=41.5, seconds_left=12, waits_for="the snapshot")
    assert (KEY, VALUE) == (mark.key, mark.value)
    assert mark == parse_mark(mark.key, mark.value)


def test_a_whole_mark_says_nothing_of_progress() -> None:
    """All keys are there nevertheless."""
    mark = BuildMark(3, 8, "b1", whole=True)
    assert b'{"build": "b1", "whole": true, "percent": null, "secondsLeft": null, "waitsFor": null}' == mark.value
    assert mark == parse_mark(mark.key, mark.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"\xffbuild", VALUE),
        (b"\xffbuild/8/8", VALUE),
        (b"build/3/8", VALUE),
        (b"\xffheartbeat/3/8", VALUE),
        (KEY, None),
        (KEY, b"{"),
        (KEY, b"[]"),
        (KEY, b'{"whole": true}'),
        (KEY, b'{"build": "b1", "whole": 1}'),
    ],
)
def test_other_records_are_no_marks(key: bytes, value: bytes | None) -> None:
    """Reserved records of another kind, and users named like one, are passed over."""
    assert parse_mark(key, value) is None


@pytest.mark.parametrize("percent", ['"41"', "true", "-1", "NaN", "Infinity"])
def test_progress_that_cannot_be_read_is_left_out(percent: str) -> None:
    """Whether the values are whole is known nevertheless."""
    value = f'{{"build": "b1", "whole": false, "percent": {percent}, "secondsLeft": {percent}, "waitsFor": 3}}'
    assert BuildMark(3, 8, "b1", whole=False) == parse_mark(KEY, value.encode())
