"""Rules, dashboard, runbook and Alertmanager's configuration by themselves: sound, tested, and agreeing."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.alert_rules import (
    ALERTMANAGER,
    PROMETHEUS,
    RULE_TESTS,
    RULES,
    RUNBOOK,
    alerts,
    metrics_in,
    sections,
)
from tests.support.system_programs import AMTOOL, PROMTOOL, require

SHOWS = re.compile(r'ALERTS\{alertname="(\w+)",alertstate="firing"\}')
PARTS = ("means", "users see", "confirm", "fix", "do not")


def run(*command: str) -> None:
    """Run a program, and show what it says where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROMETHEUS)
    assert 0 == done.returncode, done.stdout + done.stderr


def checks() -> list[dict[str, Any]]:
    """Return what the rules' own tests ask of Prometheus, test by test."""
    tests = [test for file in RULE_TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    return [check for test in tests for check in test["promql_expr_test"]]


def test_prometheus_takes_the_rules_and_its_configuration() -> None:
    """What is shipped is what Prometheus itself calls valid."""
    promtool = require(PROMTOOL)
    run(promtool, "check", "rules", *map(str, RULES))
    run(promtool, "check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml"))


def test_the_rules_fire_and_are_silent_when_their_tests_say_so() -> None:
    """Each alert fires on literal numbers that break its promise, and not on numbers just short of that."""
    run(require(PROMTOOL), "test", "rules", *map(str, RULE_TESTS))


def test_alertmanager_takes_its_configuration() -> None:
    """What is shipped is what Alertmanager itself calls valid."""
    run(require(AMTOOL), "check-config", str(ALERTMANAGER))


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_test_that_fires_it_and_one_that_does_not(alert: str) -> None:
    """No alert is trusted unseen; the watchdog, which is never silent, is at least alone when all is well."""
    asked = [check for check in checks() if alert in SHOWS.findall(check["expr"])]
    assert any(check["exp_samples"] for check in asked)
    if alert == "Watchdog":
        assert {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": "17m",
            "exp_samples": [{"labels": '{alertname="Watchdog"}', "value": 1}],
        } in checks()
    else:
        assert any(not check["exp_samples"] for check in asked)


@pytest.mark.parametrize(("alert", "rule"), alerts().items(), ids=list(alerts()))
def test_every_alert_leads_to_its_heading(alert: str, rule: dict[str, Any]) -> None:
    """The person on call reads one sentence, and finds under one heading what it means and what to do."""
    assert rule["labels"]["severity"] in {"page", "ticket", "watchdog"}
    assert rule["annotations"]["summary"].endswith(".")
    assert f"{{{{ $externalLabels.runbook }}}}#{alert.lower()}" == rule["annotations"]["runbook_url"]
    said = sections(RUNBOOK)[alert].lower()
    assert [] == [part for part in PARTS if part not in said]


def test_every_heading_of_the_runbook_is_an_alert() -> None:
    """A heading that no alert leads to would be one that is no longer true."""
    assert sections(RUNBOOK).keys() == alerts().keys()


def test_inhibitions_name_alerts_that_exist() -> None:
    """A misspelt name would inhibit nothing, unnoticed."""
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            label, pattern = re.fullmatch(r'(\w+)=~?"(.*)"', matcher).groups()  # type: ignore[union-attr]
            if label == "alertname":
                for name in alternatives(pattern):
                    assert any(re.fullmatch(name, alert) for alert in alerts()), name


def alternatives(pattern: str) -> list[str]:
    """Return what a pattern offers between its outermost bars."""
    return re.split(r"\|(?![^(]*\))", pattern)


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ('sum by (le, job) (rate(a_total{b="c"}[5m])) / d > 0.5', {"a_total", "d"}),
        ("a offset 5m unless on (job) b:c:rate5m and vector(1)", {"a", "b:c:rate5m"}),
        ("avg_over_time(a:b[3d:30m]) or predict_linear(c[1h], 4 * 3600) < 1.2 * d", {"a:b", "c", "d"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, metrics: set[str]) -> None:
    """Labels, durations, functions and operators are not mistaken for metrics, and no metric is left out."""
    assert metrics == metrics_in(expression)
