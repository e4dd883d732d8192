"""`python -m tests.support.record_path FILE MARK PROGRAM`: run a program and write down what a record enters.

The rule: a function of ours is on the record's path when an argument, a local variable at its end, or what it returns
or yields, carries the mark: a text that occurs in the record's key, in its value and in the request for it. A value
carries the mark when it is bytes or text with the mark in it, a message of Kafka's client with such a key or value, or
a tuple, list, set, dict or frozen dataclass that holds any of these. `self` does not count: an object that keeps many
records is not what travels.

Every function is written once, with the number of the call, so that the path can be put into the order in which the
functions were called. Nothing is written before FILE has been made: what a test needs first, such as other records of
the same user, is not on the path.

The program runs as shipped. The interpreter's own profiling hook watches it from outside, in all of its threads.
"""

import itertools
import os
import re
import runpy
import sys
import threading
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from confluent_kafka import Message

ROOT = Path(__file__).parents[2]
SHIPPED = tuple(f"{ROOT / package}{os.sep}" for package in ("joiner", "reader", "replication", "shared"))

MODULE = re.compile(r"`((?:joiner|reader|replication|shared)/[\w/]+\.py)`")

DEEPEST = 5
MOST_PARTS = 200
"""How deep, and how many parts of one container, a value is searched: more than one record's batch needs."""


class Step(NamedTuple):
    """A function that the record enters.

    Args:
        module: its file, from the project's folder.
        function: its qualified name in there.
    """

    module: str
    function: str


class Recorder:
    """Writes down each function that the record enters.

    Args:
        file: lines are appended to it from the moment that it exists.
        mark: what the record carries.
    """

    def __init__(self, file: Path, mark: str) -> None:
        self._file = file
        self._text, self._bytes = mark, mark.encode()
        self._calls = itertools.count()
        self._called: dict[int, int] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, frame: FrameType, event: str, returned: object) -> None:
        """Look at a call or return; the interpreter calls it."""
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(SHIPPED):
            return
        if event == "call":
            call = self._called[id(frame)] = next(self._calls)
        else:
            call = self._called.pop(id(frame), -1)
        function = code.co_qualname.partition(".<locals>")[0]
        step = f"{Path(code.co_filename).relative_to(ROOT)} {function}"
        if step in self._seen or call < 0:
            return
        given = [value for name, value in frame.f_locals.items() if name not in ("self", "cls")]
        if any(map(self.carries, [*given, returned])):
            self._write(step, call)

    def _write(self, step: str, call: int) -> None:
        with self._lock:
            if step not in self._seen and self._file.exists():
                self._seen.add(step)
                with self._file.open("a") as file:
                    file.write(f"{call} {step}\n")

    def carries(self, value: object, depth: int = 0) -> bool:
        """Tell whether a value carries the mark."""
        if isinstance(value, str):
            return self._text in value
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes in bytes(value)
        return depth < DEEPEST and any(self.carries(part, depth + 1) for part in islice(parts(value), MOST_PARTS))


def parts(value: object) -> Iterator[object]:
    """Yield what a container holds; nothing for any other object."""
    if isinstance(value, tuple | list | set | frozenset):
        yield from value
    elif isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, Message):
        yield value.key()
        yield value.value()
    elif is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield from (getattr(value, field.name) for field in fields(value))


def read_path(file: Path) -> list[Step]:
    """Return what the record entered, in the order of the calls."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return [Step(module, function) for _, module, function in sorted(lines, key=lambda line: int(line[0]))]


def _read_section(document: Path, heading: str) -> str:
    """Return the text under a heading, up to the next one."""
    parts = re.split(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return parts[parts.index(heading) + 1]


def read_documented_path(tier: str) -> list[Step]:
    """Return the steps that docs/layout.md shows: numbered items, each with a module and calls of its functions.

    Args:
        tier: `joiner` or `reader`.
    """
    text = _read_section(ROOT / "docs" / "layout.md", f"A record's path through the {tier}")
    steps = []
    for item in re.split(r"^\d+\. ", text, flags=re.MULTILINE)[1:]:
        module = MODULE.match(item)
        assert module is not None, item
        functions = re.findall(r"`([\w.]+)\(\)`", item)
        assert functions, item
        steps += [Step(module[1], function) for function in functions]
    return steps


def read_documented_modules() -> list[str]:
    """Return the modules that CONTRIBUTING.md lists in a record's order."""
    return MODULE.findall(_read_section(ROOT / "CONTRIBUTING.md", "Follow one record"))


def main() -> None:
    """Run the program under the recorder."""
    file, mark, program = sys.argv[1:4]
    recorder = Recorder(Path(file), mark)
    sys.argv = sys.argv[3:]
    threading.setprofile(recorder)
    sys.setprofile(recorder)
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
