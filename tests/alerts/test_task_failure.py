"""A connector's task that failed: seen by its metric, named by `status` and `doctor`, fixed as the runbook says."""

import re
import shlex
import subprocess
import sys

import pytest

from stack.servers.kafka import SOURCE_MESSAGE_BYTES
from tests.support.alert_rules import RUNBOOK
from tests.support.connectors import LARGE_ROW, LARGE_USER, set_largest_record
from tests.support.programs import ROOT, environment
from tests.support.site import Site
from tests.support.waiting import wait_for

pytestmark = pytest.mark.end_to_end

FAILED = re.compile(r'^kafka_connect_connector_failed_tasks\{connector="user-info"\} (\S+)$', re.MULTILINE)


def failed_tasks(site: Site) -> float | None:
    """Return what the metric says that the alert ConnectorTaskFailed looks at."""
    said = FAILED.search(site.metrics("connect"))
    return float(said[1]) if said else None


def stack(site: Site, *arguments: str) -> tuple[int, str]:
    """Run `python -m stack` on this site; return its exit status and what it said."""
    settings = {
        "STACK_DIR": str(site.kafka.folder.parent),
        "STACK_KAFKA_PORT": str(site.kafka.port),
        "STACK_POSTGRES_PORT": str(site.postgres.port),
        "STACK_CONNECT_PORT": str(site.connect.port),
        "KAFKA_BOOTSTRAP_SERVERS": site.kafka.bootstrap_servers,
    }
    command = [sys.executable, "-m", "stack", *arguments]
    done = subprocess.run(command, env=environment(settings), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def doctor(site: Site) -> list[str]:
    """Return the doctor's lines about the connector."""
    said = stack(site, "doctor", "--connector", site.connect.url)[1].splitlines()
    first = next(index for index, line in enumerate(said) if "connector" in line)
    return said[first : first + 2]


def fix(site: Site) -> None:
    """Run the command that the runbook gives under the alert's heading."""
    page = RUNBOOK.read_text().split("## ConnectorTaskFailed\n")[1].split("\n## ")[0]
    command = re.findall(r"`(curl -X POST [^`]*)`", page)[0].replace("CONNECT:8083", f"127.0.0.1:{site.connect.port}")
    subprocess.run(shlex.split(command), capture_output=True, check=True)


def await_running(site: Site) -> None:
    """Wait until the task runs, and its metric says so."""
    wait_for(lambda: site.connect.answers() and failed_tasks(site) == 0, 60, "a task that runs")


def test_a_row_that_kafka_refuses_is_not_lost(site: Site) -> None:
    """The task fails with Kafka's reason; with a higher limit, that row and all later ones come."""
    await_running(site)

    # 1. A row that is larger than the topic allows, and one after it.
    set_largest_record(site.kafka.bootstrap_servers, "users", 2_000)
    site.sql(LARGE_ROW)
    site.sql("INSERT INTO users (user_id) VALUES (901)")
    wait_for(lambda: failed_tasks(site) == 1, 60, "the metric that the alert looks at")

    # 2. Both commands say why, and what to do.
    status, said = stack(site, "status")
    assert 1 == status
    assert "the connector's task has failed" in said
    assert "RecordTooLargeException" in said
    assert f"curl -X POST '{site.connect.url}/restart?includeTasks=true'" in said
    found, remedy = doctor(site)
    assert found.startswith("wrong ")
    assert "RecordTooLargeException" in found
    assert f"curl -X POST '{site.connect.url}/restart?includeTasks=true'" in remedy

    # 3. Fixed: nothing was lost.
    set_largest_record(site.kafka.bootstrap_servers, "users", SOURCE_MESSAGE_BYTES)
    fix(site)
    await_running(site)
    wait_for(lambda: site.answers(LARGE_USER) and site.answers(901), 60, "both rows")
    assert doctor(site)[0].startswith("well ")


def test_rows_that_changed_without_a_publication_come_when_touched(site: Site) -> None:
    """The task fails with Debezium's reason; what changed meanwhile is left out until it is written again."""
    await_running(site)

    # 1. The publication goes, a row comes, and the connector is restarted.
    site.sql("DROP PUBLICATION user_info")
    site.sql("INSERT INTO users (user_id) VALUES (902)")
    fix(site)
    wait_for(lambda: failed_tasks(site) == 1, 60, "the metric that the alert looks at")
    assert "Publication" in doctor(site)[0]

    # 2. Fixed with what the project ships: later rows come.
    site.sql((ROOT / "ops/postgres/schema.sql").read_text())
    fix(site)
    await_running(site)
    site.sql("INSERT INTO users (user_id) VALUES (903)")
    wait_for(lambda: site.answers(903), 60, "the later row")

    # 3. As the runbook says of the earlier one: it comes once it is written again.
    assert not site.answers(902)
    site.sql("UPDATE users SET username = username WHERE user_id = 902")
    wait_for(lambda: site.answers(902), 60, "the earlier row")
