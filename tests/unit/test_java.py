"""What the stack fetches out of Maven repositories, without fetching it."""

import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.servers import java


def test_several_that_start_at_once_fetch_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The resolver writes its files in place, so that two of them at work on one artifact break each other."""
    fetching: list[str] = []

    def fetch(artifact: str) -> list[Path]:
        fetching.append(artifact)
        assert 1 == len(fetching)
        time.sleep(0.2)  # the fault itself: it takes its time
        jar = tmp_path / "kafka-1.0.jar"
        jar.touch()
        return [jar]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(java, "_fetch", fetch)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(java.fetch_jars, ["group:kafka:1.0"] * 3))
    assert found == [[str(tmp_path / "kafka-1.0.jar")]] * 3
    assert ["group:kafka:1.0"] == fetching


def test_a_class_path_that_java_would_take_apart_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Java would look for classes in two folders that are none, and find no class."""
    folder = tmp_path / "a:b"
    folder.mkdir()
    (folder / "kafka-1.0.jar").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(java, "_fetch", lambda _: [folder / "kafka-1.0.jar"])
    with pytest.raises(StackError, match=r"a:b/kafka-1\.0\.jar: ':' separates .* in a folder without ':' in its name"):
        java.build_command("group:kafka:1.0", "kafka.Kafka")


def test_an_archive_is_unpacked_once_and_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its folder appears with all that is in it, or not at all."""
    program = tmp_path / "run.jar"
    program.write_text("program")
    packed = tmp_path / "all.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(program, "run.jar")
    fetched: list[str] = []

    def fetch(coordinates: str) -> Path:
        fetched.append(coordinates)
        return packed

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(java, "_fetch_archive", fetch)
    for _ in range(2):
        folder = java.fetch_archive("group:program:1.0")
        assert "program" == (folder / "run.jar").read_text()
    assert ["group:program:1.0"] == fetched
    assert [folder] == [each for each in folder.parent.iterdir() if each.is_dir()]
