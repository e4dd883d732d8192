"""What rules and panels ask for is what the processes say: no metric is named that does not exist."""

import re

import pytest

from poller.metrics import Metrics as PollerMetrics
from sink.metrics import Metrics
from tests.support.alert_rules import named_metrics
from tests.support.site import Site
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

OF_PROMETHEUS = {"up"}
"""Made by Prometheus itself, for every target."""


def families(text: str) -> set[str]:
    """Return every name under which an exposition's families have samples, also those that have none yet."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    parts = {name + end for name, kind in kinds.items() if kind == "histogram" for end in ("_bucket", "_count", "_sum")}
    return kinds.keys() | parts


SINK = families(Metrics().text().decode())
"""A sink says all of its own from the first moment."""


def test_every_metric_that_a_rule_or_a_panel_names_exists(site: Site) -> None:
    """A live service, its connector and its database say every one of them; a misspelt one would never fire."""
    named = named_metrics()
    assert len(named) > 20

    def missing() -> dict[str, set[str]]:
        of_poller = families(PollerMetrics().text().decode())  # the site has a connector instead
        said = OF_PROMETHEUS.union(SINK, of_poller, *(families(site.metrics(job)) for job in site.jobs))
        return {metric: where for metric, where in named.items() if metric not in said}

    wait_for(lambda: not missing(), 60, f"every metric, but {missing()}")


def test_promises_are_read_off_at_edges_that_exist(site: Site) -> None:
    """The histograms have an edge at exactly 5 and 10 ms, and at exactly 5 and 10 s."""
    said = site.metrics("reader")
    for sample in ('answer_seconds_bucket{le="0.005"}', 'answer_seconds_bucket{le="0.01"}'):
        assert f"reader_{sample}" in said
    for edge in ("5", "10"):
        assert re.search(rf'^reader_update_age_seconds_bucket{{le="{edge}(\.0)?"}}', said, re.MULTILINE)
