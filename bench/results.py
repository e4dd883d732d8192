"""Results of measurements: a Markdown table for people, a JSON file for programs, both naming the machine."""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


def to_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as a Markdown table; the first row's keys are its header."""
    header = list(rows[0])
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *([_shown(row[name]) for name in header] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def describe_machine() -> str:
    """Return a short description of the machine that the figures were measured on."""
    memory = round(psutil.virtual_memory().total / 2**30)
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory} GiB, {system}"


def write_results(folder: Path, name: str, results: Mapping[str, object]) -> Path:
    """Write results as JSON, with the machine, the command and the time; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    facts = {
        "machine": describe_machine(),
        "command": ["python -m bench", *sys.argv[1:]],
        "taken": time.strftime("%FT%TZ", time.gmtime()),
    }
    file.write_text(json.dumps({**facts, **results}, indent=2) + "\n")
    return file


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100).__trunc__() - 1))]


class ProgressPrinter:
    """Shows progress on standard error: one line that is rewritten, or on no terminal a line every ten seconds."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._shown_at = 0.0

    def __call__(self, text: str, *, last: bool = False) -> None:
        """Show a text.

        Args:
            text: what to show.
            last: keep the line; the next text gets a new one.
        """
        if self._live:
            print(f"\r\x1b[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        elif last or time.monotonic() - self._shown_at > 10:
            self._shown_at = time.monotonic()
            print(text, file=sys.stderr, flush=True)
