"""The wheel without any extra, in an environment of its own: each program says which extra it needs."""

import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from tests.support.programs import ROOT

PROGRAMS = ("joiner", "reader", "doctor")


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


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["run", "help"])
def test_a_program_without_its_extra_says_which_one_to_install(
    folder: Path, program: str, arguments: tuple[str, ...]
) -> None:
    """Two lines and status 1, where a traceback would name a library that no one has asked for."""
    ended = run(str(folder / "venv/bin/python"), "-m", program, *arguments, folder=folder)
    library, command = "confluent_kafka", f"pip install 'user-information-service[{program}]'"
    said = f"Error: python -m {program} needs the library {library}, which is not installed\n  Try: {command}\n"
    assert (1, "", said) == (ended.returncode, ended.stdout, ended.stderr)


def test_the_wheel_has_the_extras_that_are_named(folder: Path) -> None:
    """The command in the message, and those in the documents, name the wheel and extras of it."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(archive.read(name).decode())
    assert "user-information-service" == metadata["Name"]
    assert set(PROGRAMS) <= set(metadata.get_all("Provides-Extra", []))
