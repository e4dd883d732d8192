"""Whether a process stood still, as it finds out itself."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from joiner.service import _stop_if_paused
from joiner.settings import JoinerSettings
from shared.errors import Interrupted, StateError
from shared.settings import read_settings

SCRIPT = """
import sys
from joiner.background.pause_detector import PauseDetector
with PauseDetector() as detector:
    print("beating", flush=True)
    sys.stdin.readline()
    print(detector.longest_pause_seconds, flush=True)
"""
PAUSE_SECONDS = 2.0


def run_ticking_process(*, paused: bool) -> float:
    """Return what a process says that beats for some seconds, stopped by a signal or not."""
    program = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdin is not None
    assert program.stdout is not None
    assert "beating\n" == program.stdout.readline()
    if paused:
        os.kill(program.pid, signal.SIGSTOP)
    try:
        program.wait(PAUSE_SECONDS)
    except subprocess.TimeoutExpired:
        os.kill(program.pid, signal.SIGCONT)
    said, _ = program.communicate("go on\n", timeout=30)
    return float(said)


def test_a_pause_is_known_at_once_and_the_rest_is_none() -> None:
    """However soon after the signal it is asked, and however long it only waited for something."""
    assert run_ticking_process(paused=True) >= PAUSE_SECONDS - 0.5
    assert run_ticking_process(paused=False) < PAUSE_SECONDS - 0.5


def test_an_interruption_by_a_pause_ends_the_process() -> None:
    """A zombie says why it ends; joiners that were not paused begin again what Kafka interrupted meanwhile."""
    settings, broken = read_settings(JoinerSettings), Interrupted("Kafka broke off work in progress")
    detector: Any = SimpleNamespace(longest_pause_seconds=5.9)
    _stop_if_paused(detector, settings, broken)
    detector.longest_pause_seconds = 9.0
    with pytest.raises(StateError, match=r"was paused for 9 s, longer than its session.*; start it again"):
        _stop_if_paused(detector, settings, broken)
