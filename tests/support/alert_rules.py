"""What the rules, the dashboard and the runbook say, as data."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.programs import ROOT

PROMETHEUS = ROOT / "ops" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTMANAGER = ROOT / "ops" / "alertmanager" / "alertmanager.yml"
DASHBOARD = ROOT / "ops" / "grafana" / "dashboard.json"
RUNBOOK = ROOT / "docs" / "runbook.md"

# What PromQL itself says between and around the names of metrics.
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
LABELS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
WORDS = frozenset({"and", "or", "unless", "offset", "bool", "by", "without", "on", "ignoring"})
NAME = re.compile(r"(?<![\w.:])([a-zA-Z_:][\w:]*)\b(?!\s*\()")

ALERTS = "ALERTS"
"""Prometheus' own metric of what fires."""


def rules() -> Iterator[dict[str, Any]]:
    """Yield every rule, alerts and recordings."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels() -> Iterator[tuple[str, str]]:
    """Yield title and expression of all that the dashboard asks Prometheus."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def metrics_in(expression: str) -> set[str]:
    """Return the names of the metrics that an expression names."""
    bare = LABELS.sub(" ", STRING.sub('""', expression))
    return {name for name in NAME.findall(bare) if name not in WORDS and not re.fullmatch(r"[0-9]+[a-z]*", name)}


def named_metrics() -> dict[str, set[str]]:
    """Return metric -> which rules and panels name it; what rules record is left out, for it exists by their word."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named: dict[str, set[str]] = {}
    expressions = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]
    for where, expression in [*expressions, *panels()]:
        for metric in metrics_in(expression) - recorded - {ALERTS}:
            named.setdefault(metric, set()).add(where)
    return named


def sections(document: Path) -> dict[str, str]:
    """Return the text under each second-level heading of a page."""
    found = re.split(r"^## (.*)$", document.read_text(), flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))
