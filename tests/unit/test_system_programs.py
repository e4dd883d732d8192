"""What `make test` does where programs that the tests start are missing: it installs them, or says what to type."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support import system_programs
from tests.support.programs import ROOT
from tests.support.system_programs import ALL, CHROMEDRIVER, CHROMIUM, find, main, require

EVERY = {program.names[0] for program in ALL}
ROOT_USER, OTHER_USER = 0, 1000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that is all of PATH, with nothing in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, names: Iterable[str], script: str = "") -> None:
    """Put programs into a folder, those that are known by a whole path as well: what lies there is not replaced."""
    for program in (folder / Path(name).name for name in names):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


def put_apt(folder: Path, brings: Iterable[str]) -> None:
    """Put an apt-get that notes its arguments, and that brings programs when it installs."""
    link, bash = shutil.which("ln", path=os.defpath), shutil.which("sh", path=os.defpath)
    made = "; ".join(f"{link} -sf {bash} {folder / name}" for name in brings)
    put(folder, ["apt-get"], f'echo "$@" >> {folder.parent}/apt\ncase "$1" in install) {made or ":"};; esac')
    (folder / "env").symlink_to(shutil.which("env", path=os.defpath) or "")


def apt_calls(folder: Path) -> list[str]:
    """Return what apt-get was called with."""
    return (folder.parent / "apt").read_text().splitlines()


def test_programs_on_the_path_are_enough(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """However they were installed, and under whichever of their names: nothing is printed and nothing is done."""
    put(path, {program.names[-1] for program in ALL})
    main()
    assert ("", "") == capfd.readouterr()
    assert str(path / CHROMIUM.names[-1]) == require(CHROMIUM)


def test_root_gets_what_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's packages of the missing programs, and of no others."""
    monkeypatch.setattr(os, "geteuid", lambda: ROOT_USER)
    missing = {"amtool", "prometheus-alertmanager", "chromedriver"}
    put(path, EVERY - missing)
    put_apt(path, missing)
    main()
    assert [
        "update -qq",
        "install -y -qq --no-install-recommends chromium-driver prometheus-alertmanager",
    ] == apt_calls(path)
    assert find(CHROMEDRIVER) is not None


def test_a_user_of_sudo_gets_what_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sudo asks for no password."""
    monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)
    put(path, EVERY - {"openssl"})
    put_apt(path, {"openssl"})
    put(path, ["true"])
    put(path, ["sudo"], 'test "$1" = -n && shift && exec "$@"')
    main()
    assert ["update -qq", "install -y -qq --no-install-recommends openssl"] == apt_calls(path)


@pytest.mark.parametrize("sudo", [None, "exit 1"], ids=["no sudo", "sudo asks for a password"])
def test_other_users_get_the_line_to_type(path: Path, monkeypatch: pytest.MonkeyPatch, sudo: str | None) -> None:
    """And nothing is tried."""
    monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)
    put(path, EVERY - {"openssl", "promtool"})
    put_apt(path, ())
    if sudo is not None:
        put(path, ["sudo"], sudo)
    with pytest.raises(SystemExit) as ended:
        main()
    assert (
        "Error: the tests start programs that are not installed: openssl, promtool\n"
        "  Try: sudo apt-get install -y -qq --no-install-recommends openssl prometheus"
    ) == ended.value.code
    assert not (path.parent / "apt").exists()


def test_systems_without_apt_are_shown_the_programs(path: Path) -> None:
    """Fedora and macOS name their packages otherwise; the programs have the same names."""
    put(path, EVERY - {"chromium", "promtool"})
    with pytest.raises(SystemExit, match=r"not installed: chromium, promtool\n  Try: .*package manager.* on PATH"):
        main()


def test_what_apt_does_not_bring_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An apt-get that fails, or whose package lacks the program, ends with the program's name."""
    monkeypatch.setattr(os, "geteuid", lambda: ROOT_USER)
    put(path, EVERY - {"chromedriver"})
    put_apt(path, ())
    with pytest.raises(SystemExit, match="still not installed: chromedriver"):
        main()


def test_a_python_without_venv_gets_it(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Debian's Python makes no virtual environment without one more package; one that is there needs no other."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    put(path, EVERY)
    monkeypatch.setattr(system_programs, "VENV", tmp_path)
    main()
    monkeypatch.setattr(system_programs, "VENV", tmp_path / "none")
    with pytest.raises(SystemExit, match="venv"):
        main()


def test_it_needs_no_library() -> None:
    """It runs before anything is installed."""
    source = Path(system_programs.__file__).read_text()
    imported = {
        line.split()[1].partition(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported <= set(sys.stdlib_module_names)
    assert "$(PYTHON)) tests/support/system_programs.py" in (ROOT / "Makefile").read_text()
