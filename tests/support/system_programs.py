"""The programs that the tests start and no Python package carries: finds them, and installs those that are missing.

Guarantees that a program on PATH is enough, however it was installed, and that nothing is installed but by Debian's
package manager, as root or where sudo asks for no password; anywhere else one message says what to type. `make test`
runs this file before there is a virtual environment: it imports the standard library alone.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

VENV = Path(__file__).parents[2] / ".venv"
INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")


class SystemProgram(NamedTuple):
    """One of them.

    Args:
        names: under which systems have it; Debian's first.
        package: Debian's package that brings it.
    """

    names: tuple[str, ...]
    package: str


CHROMIUM = SystemProgram(("chromium", "chromium-browser", "google-chrome"), "chromium")
CHROMEDRIVER = SystemProgram(("chromedriver",), "chromium-driver")
HAPROXY = SystemProgram(("haproxy",), "haproxy")
OPENSSL = SystemProgram(("openssl",), "openssl")
PROMETHEUS_SERVER = SystemProgram(("prometheus",), "prometheus")
PROMTOOL = SystemProgram(("promtool",), "prometheus")
ALERTMANAGER_SERVER = SystemProgram(("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager")
AMTOOL = SystemProgram(("amtool",), "prometheus-alertmanager")
POSTGRES_EXPORTER = SystemProgram(("prometheus-postgres-exporter", "postgres_exporter"), "prometheus-postgres-exporter")
ALL = (
    CHROMIUM,
    CHROMEDRIVER,
    HAPROXY,
    OPENSSL,
    PROMETHEUS_SERVER,
    PROMTOOL,
    ALERTMANAGER_SERVER,
    AMTOOL,
    POSTGRES_EXPORTER,
)


def find(program: SystemProgram) -> str | None:
    """Return a program's path; None if it is not installed."""
    return next(filter(None, map(shutil.which, program.names)), None)


def require(program: SystemProgram) -> str:
    """Return a program's path.

    Raises:
        AssertionError: it is not installed.
    """
    path = find(program)
    assert path is not None, f"{program.names[0]} is not installed; `make test-programs` installs it"
    return path


def find_missing() -> dict[str, str]:
    """Return what is not installed: name -> Debian's package."""
    missing = {program.names[0]: program.package for program in ALL if find(program) is None}
    if importlib.util.find_spec("ensurepip") is None and not VENV.exists():
        missing["Python's module venv"] = "python3-venv"
    return missing


def become_root() -> tuple[str, ...] | None:
    """Return the words that make a command run as root without a question; None if this user may not."""
    if os.geteuid() == 0:
        return ()
    asks_nothing = ("sudo", "-n")
    if (
        shutil.which("sudo")
        and subprocess.run((*asks_nothing, "true"), capture_output=True, check=False).returncode == 0
    ):
        return asks_nothing
    return None


def main() -> None:
    """Install what is missing, or end with what to do about it."""
    missing = find_missing()
    if not missing:
        return
    said = f"Error: the tests start programs that are not installed: {', '.join(missing)}"
    if shutil.which("apt-get") is None:
        sys.exit(f"{said}\n  Try: bring them by this system's package manager; they need to be on PATH")
    packages = sorted(set(missing.values()))
    root = become_root()
    if root is None:
        sys.exit(f"{said}\n  Try: sudo {' '.join(INSTALL)} {' '.join(packages)}")
    sys.stdout.write(f"Installing the packages {' '.join(packages)}\n")
    sys.stdout.flush()
    for command in (("apt-get", "update", "-qq"), ("env", "DEBIAN_FRONTEND=noninteractive", *INSTALL, *packages)):
        subprocess.run((*root, *command), check=False)
    if missing := find_missing():
        sys.exit(f"Error: still not installed: {', '.join(missing)}\n  Try: see what apt-get says above")


if __name__ == "__main__":
    main()
