"""The wheel without any extra, in an environment of its own: each program says which extra it needs."""

import re
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

from tests.support.programs import ROOT

PROGRAMS = ("joiner", "reader", "poller", "doctor")


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command away from the sources."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the wheel, and an environment `venv` that holds it and what every installation has."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    uv = (sys.executable, "-m", "uv")
    locked = ("--constraints", str(ROOT / "requirements" / "dev.lock"))
    for command in (("venv", "venv"), ("pip", "install", "--python", "venv", *locked, str(wheel))):
        done = run(*uv, *command, folder=folder)
        assert 0 == done.returncode, done.stderr
    return folder


@pytest.fixture(scope="module")
def metadata(folder: Path) -> Message:
    """Give what the wheel says of itself."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(archive.read(name).decode())


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["run", "help"])
def test_a_program_without_its_extra_says_which_one_to_install(
    folder: Path, metadata: Message, program: str, arguments: tuple[str, ...]
) -> None:
    """Two lines and status 1, where a traceback would name a library that no one has asked for."""
    ended = run(str(folder / "venv/bin/python"), "-m", program, *arguments, folder=folder)
    assert (1, "") == (ended.returncode, ended.stdout)
    said = (
        rf"Error: python -m {program} needs the library (\w+), which is not installed\n"
        rf"  Try: pip install '{metadata['Name']}\[{program}\]'\n"
    )
    found = re.fullmatch(said, ended.stderr)
    assert found is not None, ended.stderr
    # The library comes with the extra.
    brought = [line for line in metadata.get_all("Requires-Dist", []) if f"extra == '{program}'" in line]
    assert found[1].replace("_", "-") in {re.split(r"[^\w-]", line)[0] for line in brought}


def test_a_sink_without_its_extra_names_both(folder: Path) -> None:
    """There is one for each store; the command line is not read before."""
    ended = run(str(folder / "venv/bin/python"), "-m", "sink", "postgres", folder=folder)
    assert (1, "") == (ended.returncode, ended.stdout)
    assert "needs the library confluent_kafka, which is not installed" in ended.stderr
    assert "pip install 'user-information-service[sink-postgres]'  # or [sink-redis]" in ended.stderr


def test_the_wheel_has_the_extras_that_are_named(metadata: Message) -> None:
    """The command in the message, and those in the documents, name the wheel and extras of it."""
    assert "user-information-service" == metadata["Name"]
    assert {*PROGRAMS, "sink-postgres", "sink-redis"} <= set(metadata.get_all("Provides-Extra", []))
