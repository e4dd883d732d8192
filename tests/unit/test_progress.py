"""What those who wait for something see of it, on a terminal and elsewhere."""

from io import StringIO

import pytest

from shared.progress import CLEAR, ProgressBar


class Terminal(StringIO):
    """Text that is shown to a person."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_shows_a_bar_below_all_lines() -> None:
    """A line takes the bar's place, and the bar follows it; at the end there is none."""
    terminal = Terminal()
    with ProgressBar("building", terminal) as bar:
        bar.say("first")
        bar.show(50, "9 s left")
        bar.say("second")
        bar.show(None)
    half, unknown = f"building [{'#' * 15}{'-' * 15}] 50 %, 9 s left", f"building [{'-' * 30}] "
    shown = ["first\n", CLEAR, half, CLEAR, "second\n", half, CLEAR, unknown, CLEAR]
    assert "".join(shown) == terminal.getvalue()


def test_a_bar_is_never_wider_than_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second line would not be cleared."""
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    ProgressBar("building", terminal).show(100, "x" * 80)
    assert 39 == len(terminal.getvalue().removeprefix(CLEAR))


def test_elsewhere_a_line_is_written_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what ends soon, and nothing that only a terminal understands."""
    moments = [0.0]
    monkeypatch.setattr("shared.progress.time.monotonic", lambda: moments[-1])
    log = StringIO()
    with ProgressBar("building", log) as bar:
        for moment, percent in ((1.0, 10), (2.0, 20), (3.0, 30), (4.0, None), (6.0, 60)):
            moments.append(moment)
            bar.show(percent)
        bar.say("another line")
    assert "building: 20 %\nbuilding: 60 %\nanother line\n" == log.getvalue()
