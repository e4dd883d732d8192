"""The status of a connector's tasks, summarized for people. Pure.

Knows the shape of Kafka Connect's `/connectors/NAME/status`, and nothing of how it is requested.
"""

import shlex
from collections.abc import Mapping
from typing import Any


def all_tasks_run(status: Mapping[str, Any]) -> bool:
    """Return whether a connector has tasks and all of them run."""
    tasks = status.get("tasks", [])
    return bool(tasks) and all(task["state"] == "RUNNING" for task in tasks)


def find_failure(status: Mapping[str, Any]) -> str | None:
    """Return why a task of a connector has failed; None if none has.

    Args:
        status: Kafka Connect's response; empty if there was none.
    """
    failed = [task for task in status.get("tasks", []) if task["state"] == "FAILED"]
    return summarize_trace(failed[0].get("trace", "")) if failed else None


def summarize_trace(trace: str) -> str:
    """Return the first line of a Java trace and its innermost cause, which alone often says what to do."""
    lines = [line for line in trace.splitlines() if line.strip()]
    if not lines:
        return "no reason is given; see the log of Kafka Connect"
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return f"{lines[0]}, caused by {causes[-1]}" if causes else lines[0]


def explain_restart(url: str, reason: str | None) -> str:
    """Return what to do to make the tasks of a connector run again.

    Args:
        url: of the connector.
        reason: why a task has failed; None if none has, as when the connector is paused, or has no task yet.
    """
    restart = f"curl -X POST {shlex.quote(f'{url}/restart?includeTasks=true')}"
    if reason is not None:
        return f"fix the cause, then run: {restart}"
    return f"resume or restart the connector: curl -X PUT {shlex.quote(f'{url}/resume')}, or {restart}"
