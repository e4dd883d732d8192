"""The measurements as people read them: Markdown tables, with the machine and the command that made them. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench import results

Result = dict[str, Any]

READING = (
    "Each service has one core to itself, the load another, together with databases and Kafka. CPU is in shares of a"
    " core; what others took of a service's core is what its figures lack, one or two percent of it for the idle loop"
    " that looks on. Requests per second of its CPU compare services even where others were at work."
)


def to_markdown(found: Result) -> str:
    """Return all tables that there are results for.

    Args:
        found: as `python -m bench reader` writes them in JSON.
    """
    parts = [f"Made by `{' '.join(found['command'])}` on {found['machine']}."]
    if {"capacity", "latency"} & set(found):
        parts.append(READING)
    if "capacity" in found:
        parts.append(_capacity(found["capacity"]))
    if "latency" in found:
        parts += [_latency(found["latency"]), _stalls(found["latency"])]
    if "starts" in found:
        parts.append(_starts(found["starts"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _capacity(rows: Sequence[Result]) -> str:
    ceiling = next((row["rate"] for row in rows if row["name"].startswith("uvicorn")), None)
    table = [
        (
            row["name"],
            f"{row['rate']:,.0f}{' or more' if row['load_busy'] > 0.9 and row['busy'] < 0.9 else ''}",
            f"{row['rate'] / ceiling:.2f}" if ceiling else "",
            f"{row['latency']['p50']:.2f}",
            f"{row['latency']['p99']:.2f}",
            f"{row['rate'] / row['busy']:,.0f}",
            f"{row['busy']:.0%}",
            f"{row['taken']:.0%}",
            f"{row['load_busy']:.0%}",
        )
        for row in rows
    ]
    head = (
        "what",
        "requests/s",
        "of uvicorn's constant",
        "p50 ms",
        "p99 ms",
        "requests per second of its CPU",
        "its CPU",
        "others' CPU",
        "load's CPU",
    )
    return f"Capacity, closed loop by {rows[0]['generator']}:\n\n{_table(head, table)}"


def _latency(rows: Sequence[Result]) -> str:
    table = []
    for row in rows:
        shown, late = row["latencyMs"], row["lateMs"]
        table.append(
            (
                row["name"],
                *(f"{shown[name]:.2f}" for name in ("p50", "p95", "p99", "p999", "max")),
                f"{row['over10Ms']} of {row['answered']:,}",
                f"{row['wrong']} / {row['failed']}",
                f"{late['p99']:.2f} / {late['max']:.2f}",
                f"{row['busy']:.0%}",
                f"{row['taken']:.0%}",
            )
        )
    head = (
        "what",
        "p50 ms",
        "p95",
        "p99",
        "p99.9",
        "max",
        "over 10 ms",
        "wrong / failed",
        "load late p99 / max",
        "its CPU",
        "others' CPU",
    )
    return f"Latency from the intended moment, open loop at {rows[0]['rate']:,.0f} requests/s:\n\n{_table(head, table)}"


def _stalls(rows: Sequence[Result]) -> str:
    table = [
        (
            row["name"],
            f"{stall['at_seconds']:.1f}",
            str(stall["requests"]),
            *(str(stall.get(name, "")) for name in ("worst", "machine", "load", "ran", "waited", "others")),
            stall["cause"],
        )
        for row in rows
        for stall in row["stalls"]
    ]
    if not table:
        return ""
    head = (
        "what",
        "at s",
        "answers over 10 ms",
        "worst ms",
        "idle loop on its core stood still",
        "load's core stood still",
        "event loop ran",
        "waited for its core",
        "other threads ran",
        "cause",
    )
    return f"Each stall:\n\n{_table(head, table)}"


def _starts(row: Result) -> str:
    per_user = row["diskBytes"] / row["records"]
    table = [
        ("from nothing to ready", f"{row['coldSeconds']:.1f} s"),
        ("from a snapshot to ready", f"{row['fromSnapshotSeconds']:.1f} s"),
        ("with its data to ready", f"{row['warmSeconds']:.2f} s"),
        ("taking a snapshot", f"{row['snapshotSeconds']:.1f} s"),
        ("memory after the replay, mapped pages of its file included", _megabytes(row["residentBytes"])),
        ("memory after the replay, without those", _megabytes(row["ownBytes"])),
        ("memory after a restart", _megabytes(row["residentBytesWarm"])),
        ("disk", f"{_megabytes(row['diskBytes'])}, {per_user:,.0f} bytes per user"),
        ("a snapshot's disk", _megabytes(row["snapshotBytes"])),
        (
            "the topic's disk, one replica",
            f"{_megabytes(row['topicBytes'])}, {row['topicBytes'] / row['records']:,.0f} bytes per user",
        ),
    ]
    return _table((f"a reader of {row['records']:,} users", ""), table)


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return results.to_table([dict(zip(head, row, strict=True)) for row in rows])
