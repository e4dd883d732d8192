"""Judges a connector's configuration: what of it makes counts wrong without a word from anyone. Pure.

Knows properties of Debezium and Kafka Connect that keep changes out of the source topics, where the joiner cannot miss
them, and nothing of how a configuration is read.
"""

from collections.abc import Iterator, Mapping

from doctor.checks import Finding, Verdict

FLATTENING = "io.debezium.transforms.ExtractNewRecordState"

REMEDY = (
    ', then do what "Reload source topics" in docs/operations.md says: what has been lost does not come back by itself'
)

FORBIDDEN = {
    "errors.tolerance": (("all",), "rows that a converter or a transform cannot take are left out"),
    "event.processing.failure.handling.mode": (
        ("warn", "skip", "ignore"),
        "changes that Debezium cannot read are left out",
    ),
    "slot.drop.on.stop": (("true",), "changes made while the connector is stopped are lost"),
    "producer.override.acks": (("0", "1"), "rows are lost with a broker"),
}
"""Property -> values that lose changes, and how."""


def check_connector_config(url: str, config: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about a connector's configuration.

    Args:
        url: of the connector.
        config: its properties, as Kafka Connect returns them; empty where it does not answer.
    """
    label = f"connector {url}"
    for name, (values, loss) in FORBIDDEN.items():
        if config.get(name) in values:
            yield Finding(Verdict.WRONG, f"{label} has {name}={config[name]}: {loss}", f"remove {name}{REMEDY}")
    skipped = {word.strip() for word in config.get("skipped.operations", "").split(",")} & {"c", "u", "d"}
    if skipped:
        what = (
            f"{label} has skipped.operations={config['skipped.operations']}: inserts, updates or deletions are left out"
        )
        yield Finding(Verdict.WRONG, what, f"remove skipped.operations{REMEDY}")
    yield from _check_deletions(label, config)
    if config.get("message.key.columns"):
        what = (
            f"{label} has message.key.columns={config['message.key.columns']}: an update of such a column leaves the"
            " row under its old key as well, which counts too, unless the log holds whole rows"
        )
        yield Finding(Verdict.DOUBTFUL, what, "set REPLICA IDENTITY FULL on these tables, before any such update")
    if config.get("snapshot.mode") == "when_needed":
        what = f"{label} has snapshot.mode=when_needed: where its replication slot is lost, rows deleted meanwhile stay"
        yield Finding(Verdict.DOUBTFUL, what, "set snapshot.mode=initial: the connector then stops, and says why")


def _check_deletions(label: str, config: Mapping[str, str]) -> Iterator[Finding]:
    has_tombstones = config.get("tombstones.on.delete", "true") != "false"
    flattening = [
        f"transforms.{name.strip()}."
        for name in config.get("transforms", "").split(",")
        if config.get(f"transforms.{name.strip()}.type") == FLATTENING
    ]
    for prefix in flattening:
        if not _passes_deletions(config, prefix, has_tombstones=has_tombstones):
            what = f"{label} flattens rows so that no deletion reaches the topics: deleted rows count for ever"
            hint = f"set {prefix}delete.tombstone.handling.mode=delete-to-tombstone{REMEDY}"
            yield Finding(Verdict.WRONG, what, hint)
    if not flattening and not has_tombstones:
        what = f"{label} has tombstones.on.delete=false: compaction keeps every deleted row's last record"
        yield Finding(Verdict.DOUBTFUL, what, "remove tombstones.on.delete")


def _passes_deletions(config: Mapping[str, str], prefix: str, *, has_tombstones: bool) -> bool:
    """Return whether a deletion gets through Debezium's flattening; Debezium before 3.2 had two properties for that."""
    mode = config.get(f"{prefix}delete.tombstone.handling.mode")
    if mode is not None:
        return mode != "drop" and (mode != "tombstone" or has_tombstones)
    event, dropped = config.get(f"{prefix}delete.handling.mode"), config.get(f"{prefix}drop.tombstones")
    if event is None and dropped is None:
        return has_tombstones
    return event in ("rewrite", "none") or (dropped == "false" and has_tombstones)
