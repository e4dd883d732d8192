"""The Dockerfile, which no engine builds here: its install steps are carried out in folders of this machine."""

import json
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copytree, ignore_patterns
from zipfile import ZipFile

import pytest

from joiner.settings import JoinerSettings
from poller.settings import PollerSettings
from reader.settings import ReaderSettings
from shared.settings import KafkaSettings
from tests.support.programs import ROOT

TIERS: dict[str, type[KafkaSettings]] = {
    "joiner": JoinerSettings,
    "poller": PollerSettings,
    "reader": ReaderSettings,
}
OTHERS = {
    "joiner": ("starlette", "uvicorn", "lmdb", "psycopg"),
    "poller": ("starlette", "uvicorn", "lmdb", "quixstreams", "rocksdict"),
    "reader": ("quixstreams", "rocksdict", "psycopg"),
}
FOR_PYTHON = ("PATH", "PYTHON", "PIP_")

Step = tuple[str, str]


def stages() -> dict[str, list[Step]]:
    """Return the Dockerfile: stage -> its steps, each an instruction and what follows it."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[Step]] = {}
    for line in text.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            steps = found[rest.partition(" AS ")[2]] = []
        elif instruction and instruction not in {"#", "ARG"}:
            steps.append((instruction, rest))
    return found


def steps_of(stage: str, instruction: str) -> list[str]:
    """Return what follows an instruction in a stage, in order."""
    return [rest for found, rest in stages()[stage] if found == instruction]


def carry_out(stage: str, folder: Path) -> Path:
    """Do a stage's COPY and RUN steps in a folder instead of an image; return the stage's working folder."""
    work = folder / "build"
    work.mkdir(parents=True)
    for instruction, rest in stages()[stage]:
        if instruction == "RUN":
            command = re.sub(r"^python ", f"{sys.executable} ", rest).replace("/opt/service", str(folder / "service"))
            done = subprocess.run(["/bin/sh", "-ec", command], cwd=work, capture_output=True, text=True, check=False)
            assert 0 == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"
        elif instruction == "COPY":
            *sources, target = [word for word in rest.split() if not word.startswith("--from")]
            other = re.search(r"--from=(\S+) /(.*)/", rest)
            origin = folder.parent / other[1] / other[2] if other else ROOT
            for source in sources:
                _copy(origin / Path(source).name if other else origin / source, work / target)
    return work


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        copytree(source, target, ignore=ignore_patterns("__pycache__"))
    elif target.is_dir():
        (target / source.name).write_bytes(source.read_bytes())
    else:
        target.mkdir(parents=True)
        (target / source.name).write_bytes(source.read_bytes())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which the stage `wheel` was carried out; other stages belong next to it."""
    folder = tmp_path_factory.mktemp("image") / "wheel"
    carry_out("wheel", folder)
    return folder


@pytest.mark.parametrize("tier", TIERS)
def test_each_image_holds_its_tier_and_nothing_of_the_other(wheel: Path, tier: str) -> None:
    """The steps of the Dockerfile make an environment that runs the tier with the source away."""
    folder = wheel.parent / f"{tier}-packages"
    carry_out(f"{tier}-packages", folder)
    python = folder / "service" / "bin" / "python"

    asked = [str(python), "-m", tier, "--help"]
    answered = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True)
    assert "KAFKA_BOOTSTRAP_SERVERS" in answered.stdout
    absent = (*OTHERS[tier], "pip", "stack", "tests", "bench")
    script = f"import importlib.util as u; print([n for n in {absent} if u.find_spec(n)])"
    found = subprocess.run([str(python), "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert "[]" == found.stdout.strip()


def test_the_wheel_in_an_image_holds_every_package_that_ships(wheel: Path) -> None:
    """One version is one wheel, wherever it was built."""
    (built,) = wheel.rglob("*.whl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    with ZipFile(built) as archive:
        held = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == held


def test_every_package_is_a_wheel_with_a_known_hash() -> None:
    """Nothing is compiled, nothing comes unchecked: each install says so, but for the wheel just built."""
    installs = [rest for stage in stages() for rest in steps_of(stage, "RUN") if " install " in rest and "pip" in rest]
    locked = [command for command in installs if "-r requirements/" in command]
    assert ["python -m pip --python /opt/service/bin/python install --no-deps --no-index dist/*.whl"] * len(TIERS) == [
        command for command in installs if command not in locked
    ]
    assert len(TIERS) + 1 == len(locked)
    assert all("--require-hashes --only-binary=:all:" in command for command in locked)


@pytest.mark.parametrize("tier", TIERS)
def test_an_image_does_not_run_as_root(tier: str) -> None:
    """All images end on the user that their common stage makes."""
    assert ["10001"] == steps_of("tier", "USER")
    assert "--uid 10001" in steps_of("tier", "RUN")[0]
    assert [] == steps_of(tier, "USER")
    assert f"FROM tier AS {tier}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("tier", TIERS)
def test_an_image_sets_what_its_tier_understands(tier: str) -> None:
    """Every variable of the image is a setting of the tier, or Python's own; the state lies in the volume."""
    given = dict(word.split("=", 1) for rest in steps_of(tier, "ENV") for word in shlex.split(rest))
    assert given[f"{tier.upper()}_STATE_DIR"] == steps_of("tier", "VOLUME")[0]
    assert {name.lower() for name in given} <= set(TIERS[tier].model_fields)
    common = [word.partition("=")[0] for rest in steps_of("tier", "ENV") for word in shlex.split(rest)]
    assert all(name.startswith(FOR_PYTHON) for name in common)
    assert ["python", "-m", tier] == json.loads(steps_of(tier, "ENTRYPOINT")[0])


class Answering:
    """Something that answers /livez with a status."""

    def __init__(self) -> None:
        self.status = 200
        answering = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(answering.status if self.path == "/livez" else 404)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Give it, on a free port."""
    made = Answering()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.mark.parametrize(("tier", "variable"), [("joiner", "JOINER_HTTP_PORT"), ("reader", "READER_PORT")])
def test_the_health_check_tells_life_from_death(answering: Answering, tier: str, variable: str) -> None:
    """The image's own check passes on 200 and fails on 503, at any port that the tier is given."""
    words: list[str] = json.loads(steps_of(tier, "HEALTHCHECK")[0].partition("CMD ")[2])
    assert "python" == words[0]
    environment = {variable: str(answering.server.server_port)}

    def status() -> int:
        return subprocess.run(
            [sys.executable, *words[1:]], env=environment, capture_output=True, check=False
        ).returncode

    assert 0 == status()
    answering.status = 503
    assert 0 != status()


def test_the_build_sees_only_what_it_copies() -> None:
    """What the image copies from the project passes .dockerignore, and nothing else does."""
    copied = {
        word.split("/")[0]
        for stage in stages()
        for rest in steps_of(stage, "COPY")
        if not rest.startswith("--from")
        for word in rest.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" == lines[1]
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
