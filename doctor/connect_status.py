"""What Kafka Connect says of a connector's tasks, read for people. Pure.

Knows the shape of `/connectors/NAME/status`, and nothing of how or whom one asks for it.
"""

from collections.abc import Mapping
from typing import Any


def run(status: Mapping[str, Any]) -> bool:
    """Tell whether a connector has tasks and all of them run."""
    tasks = status.get("tasks", [])
    return bool(tasks) and all(task["state"] == "RUNNING" for task in tasks)


def failure(status: Mapping[str, Any]) -> str | None:
    """Return why a task of a connector has failed; None where none has.

    Args:
        status: Kafka Connect's answer; empty where there was none.
    """
    failed = [task for task in status.get("tasks", []) if task["state"] == "FAILED"]
    return reason(failed[0].get("trace", "")) if failed else None


def reason(trace: str) -> str:
    """Return the first line of a Java trace and its innermost cause, which alone often says what to do."""
    lines = [line for line in trace.splitlines() if line.strip()]
    if not lines:
        return "no reason is given; see the log of Kafka Connect"
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return f"{lines[0]}, caused by {causes[-1]}" if causes else lines[0]


def mending(url: str) -> str:
    """Return what brings the tasks of a connector back, given its URL."""
    return f"mend what it names, then: curl -X POST '{url}/restart?includeTasks=true'"
