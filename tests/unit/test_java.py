"""What the stack fetches out of Maven repositories, without fetching it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

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
