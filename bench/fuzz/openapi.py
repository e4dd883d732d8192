"""A fuzzer driven by the reader's own description: Schemathesis, with all of its checks."""

import subprocess
import sys
from pathlib import Path

from bench.errors import MeasurementError

SETTINGS = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
negative_data_rejection.expected-statuses = ["4xx", "503"]
positive_data_acceptance.expected-statuses = ["2xx", "3xx", "404", "414", "431", "503"]
"""
"""A reader that is behind, and a request that is too large though each part is sound, are no failures. Each status must
still be described where it is returned."""

GRACE_SECONDS = 60.0


def fuzz(port: int, folder: Path, seed: int, *, seconds: int | None = None, examples: int = 100) -> str:
    """Request all that a reader describes, and what it does not; return a summary.

    Streams of events are left out, since they do not end; bench.fuzz.sockets asks for them.

    Args:
        port: on 127.0.0.1.
        folder: where the run keeps its files.
        seed: of the requests.
        seconds: for how long; None: until each operation had its examples.
        examples: at most, for each operation, and each time around.

    Raises:
        MeasurementError: a response is not as described, or none came; carries the report.
    """
    settings = folder / "schemathesis.toml"
    settings.write_text(SETTINGS)
    command: list[str | Path] = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        settings,
        "--no-color",
        "run",
    ]
    command += [f"http://127.0.0.1:{port}/openapi.json", "--checks", "all", "--exclude-path-regex", "events$"]
    command += ["--generation-database", "none", "--seed", str(seed), "--max-examples", str(examples)]
    command += ["--request-timeout", "10"]
    if seconds is not None:
        command += ["--max-time", str(seconds)]
    limit = (seconds or 120) + GRACE_SECONDS
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as late:
        raise MeasurementError(f"Schemathesis still runs after {limit:g} s") from late
    if done.returncode != 0:
        raise MeasurementError(f"Schemathesis found something:\n{done.stdout}\n{done.stderr}")
    (summary,) = [line.strip() for line in done.stdout.splitlines() if "generated" in line] or [done.stdout]
    return summary
