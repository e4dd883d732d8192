"""From a fault to a human: a real Prometheus and Alertmanager, a real service, a webhook. `make test-alerts` is this.

Other work of this machine may slow single reads down, so that pages for slow reads may come at any time here; what
is asserted is which alert a fault must bring, and which must not come of it.
"""

import os
import signal
import time
from collections.abc import Callable

import httpx
import pytest
from confluent_kafka import Producer

from tests.support.site import Site
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]

QUIET_SECONDS = float(os.environ.get("ALERTS_QUIET_SECONDS", "60"))
"""How long a healthy service is watched; `make test-alerts` takes five minutes."""

NOISE = {"ReadsSlow", "ReadsBudgetBurnsFast", "ReadsBudgetBurnsSlowly", "ReadOverTenMilliseconds"}
"""What a busy machine may bring by itself: promises in milliseconds."""


@pytest.fixture
def quiet(site: Site) -> Site:
    """Give the site once nothing fires but the watchdog, with nothing kept of earlier messages."""
    wait_for(lambda: site.firing() - NOISE == {"Watchdog"}, 240, f"silence, not {site.firing()}")
    site.webhook.forget()
    return site


def test_nothing_fires_while_all_is_well(quiet: Site, record_property: Callable[[str, object], None]) -> None:
    """A healthy service is silent but for the watchdog, which an outside switch waits for."""
    wait_for(lambda: "Watchdog" in quiet.webhook.names("firing", "dead-man-switch"), 120, "the watchdog")
    until = time.monotonic() + QUIET_SECONDS
    noise: set[str] = set()

    def fired() -> set[str]:
        noise.update(quiet.firing() & NOISE)
        return quiet.firing() - NOISE - {"Watchdog"}

    wait_for(lambda: fired() or time.monotonic() > until, QUIET_SECONDS + 60, "the end of the silence")
    record_property("seconds", QUIET_SECONDS)
    record_property("pages for milliseconds, by what else this machine did", sorted(noise))
    assert set() == fired()
    assert quiet.webhook.names("firing") <= NOISE
    assert quiet.webhook.names("firing", "tickets") <= NOISE


def test_a_stopped_joiner_pages_for_freshness_and_a_started_one_ends_it(quiet: Site) -> None:
    """Within a minute a human is paged that data is old, and later that it no longer is; consequences are left out."""
    webhook, joiner = quiet.webhook, quiet.joiner
    assert 0 == joiner.stop()
    wait_for(lambda: "UpdatesStale" in webhook.names("firing"), 60, "the page for freshness")
    stale = next(alert for alert in webhook.alerts if alert["labels"]["alertname"] == "UpdatesStale")
    assert "freshness" == stale["labels"]["promise"]
    assert stale["annotations"]["summary"].startswith("Freshness is broken")
    assert stale["annotations"]["runbook_url"].endswith("docs/runbook.md#updatesstale")
    wait_for(lambda: "NoReadyJoiner" in webhook.names("firing"), 90, "the page for the joiner")
    joiner.start().wait_until_ready()
    wait_for(lambda: {"UpdatesStale", "NoReadyJoiner"} <= webhook.names("resolved"), 180, "both resolved")
    assert not webhook.names("firing") & {"UpdatesLate", "JoinerLagGrowing", "NoReadyReader", "ConnectorTaskFailed"}


def test_poison_is_a_ticket_and_no_page(quiet: Site) -> None:
    """A record that cannot be read is a ticket with its reason, and no page."""
    producer = Producer({"bootstrap.servers": quiet.kafka.bootstrap_servers, "enable.idempotence": True})
    producer.produce("likes", b"{", b"1")
    assert 0 == producer.flush(30)
    wait_for(lambda: "DeadLetters" in quiet.webhook.names("firing", "tickets"), 90, "the ticket")
    assert not quiet.webhook.names("firing") - NOISE


def test_readers_that_are_gone_page_once(site: Site) -> None:
    """Without any reader the page is for that; their age, their lag and their missing metrics follow from it."""
    wait_for(lambda: site.firing() - NOISE <= {"Watchdog", "DeadLetters"}, 240, "silence but for the poison")
    site.webhook.forget()
    for reader in site.readers:
        reader.kill()
    wait_for(lambda: "NoReadyReader" in site.webhook.names("firing"), 90, "the page")
    wait_for(lambda: "MetricsAbsent" in site.firing(), 120, "the consequence")
    for reader in site.readers:
        reader.start().wait_until_ready()
    wait_for(lambda: "NoReadyReader" in site.webhook.names("resolved"), 120, "resolved")
    assert site.webhook.names("firing") - NOISE <= {"NoReadyReader"}
    assert not site.webhook.names("firing", "tickets") & {"MetricsAbsent", "FreshnessNotMeasured"}


def test_a_slow_reader_pages_for_reads(site: Site) -> None:
    """A paused reader answers late, and that is counted: a client would have felt it."""
    port = site.jobs["reader"][0]
    site.webhook.forget()

    def paged() -> bool:
        with httpx.Client() as client:
            site.readers[0].signal(signal.SIGSTOP)
            time.sleep(0.05)  # the fault itself
            site.readers[0].signal(signal.SIGCONT)
            client.get(f"http://127.0.0.1:{port}/users/1")
        return bool({"ReadOverTenMilliseconds", "ReadsSlow"} & site.webhook.names("firing"))

    wait_for(paged, 90, "a page for slow reads")


def test_a_stopped_connector_pages_with_the_cause(site: Site) -> None:
    """A database without a reader is named together with the freshness that it costs."""
    wait_for(lambda: site.firing() - NOISE <= {"Watchdog", "DeadLetters"}, 240, "silence but for the poison")
    site.webhook.forget()
    site.connect.stop()
    wait_for(lambda: {"UpdatesStale", "ReplicationSlotInactive"} <= site.webhook.names("firing"), 120, "the pages")
    site.connect.start()
    told = site.webhook
    wait_for(lambda: {"UpdatesStale", "ReplicationSlotInactive"} <= told.names("resolved"), 180, "both resolved")
    assert not site.webhook.names("firing") & {"NoReadyJoiner", "NoReadyReader", "JoinerNotCommitting"}
