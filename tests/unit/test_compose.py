"""compose.yaml, which no engine runs here, says what the local stack does, and only what the tiers understand."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from joiner.settings import JoinerSettings
from reader.settings import ReaderSettings
from shared.kafka import read_properties
from shared.settings import KafkaSettings, read_settings
from shared.topics import MAX_MESSAGE_BYTES
from shared.view.file import read_view
from shared.view.model import BUILT_IN
from stack import ops
from stack.servers import connect, kafka, postgres
from stack.settings import StackSettings
from tests.support.built_in import TABLES
from tests.support.programs import ROOT
from tests.support.site import AGENT

COMPOSE = ROOT / "compose.yaml"
TIERS: dict[str, type[KafkaSettings]] = {"joiner": JoinerSettings, "reader": ReaderSettings}

Service = dict[str, Any]


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    """Give the services by name."""
    found: dict[str, Service] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


@pytest.fixture(scope="module")
def mounted() -> dict[str, Path]:
    """Give the files that the services mount, by the name of their config."""
    configs = yaml.safe_load(COMPOSE.read_text())["configs"]
    return {name: ROOT / config["file"] for name, config in configs.items()}


def tier_of(service: str) -> str:
    """Return `joiner` for `joiner-2`."""
    return service.partition("-")[0]


def test_it_is_what_the_compose_specification_says() -> None:
    """The file is valid by the specification's own schema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (checked.returncode, checked.stderr)


def test_every_service_starts_after_what_it_needs_and_is_bounded(services: dict[str, Service]) -> None:
    """Each dependency exists and has a health check; each service has limits, and the servers a check."""
    for name, service in services.items():
        assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"]), name
        runs_once = service["restart"] == "on-failure:3"
        assert ("healthcheck" in service) is not runs_once, name
        for needed, condition in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in {"topics", "connector"} else "service_healthy"
            assert {"condition": wanted} == condition, name
            assert needed in services
    assert {"joiner-1", "joiner-2", "reader-1", "reader-2"} == {name for name in services if tier_of(name) in TIERS}


def test_volumes_and_mounted_files_exist(services: dict[str, Service]) -> None:
    """Every volume is declared, none but the connector's files is shared, and every mounted file is there."""
    document = yaml.safe_load(COMPOSE.read_text())
    mounted = [volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    assert set(mounted) == set(document["volumes"])
    assert ["plugins"] == [name for name in sorted(set(mounted)) if mounted.count(name) > 1]
    for config in document["configs"].values():
        assert (ROOT / config["file"]).is_file()


def test_no_secret_and_no_unpinned_image(services: dict[str, Service]) -> None:
    """The one password comes from outside, and what is not built here has a version."""
    document = yaml.safe_load(COMPOSE.read_text())
    assert {"postgres-password": {"environment": "POSTGRES_PASSWORD"}} == document["secrets"]
    given = [name for service in services.values() for name in service.get("environment", {})]
    assert ["POSTGRES_PASSWORD_FILE"] == [name for name in given if re.search("PASSWORD|SECRET|TOKEN", name)]
    for service in services.values():
        assert "build" in service or re.fullmatch(r"[a-z/-]+:v?\d[\w.-]*", service["image"])


@pytest.mark.parametrize("name", ["joiner-1", "joiner-2", "reader-1", "reader-2"])
def test_the_tiers_understand_their_settings(
    services: dict[str, Service], mounted: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable is a setting of its tier, and its value is accepted; a file is what is mounted there."""
    files = {config["target"]: str(mounted[config["source"]]) for config in services[name].get("configs", [])}
    environment = {variable: files.get(value, value) for variable, value in services[name]["environment"].items()}
    tier = TIERS[tier_of(name)]
    own = {variable for variable in environment if variable.lower() in tier.model_fields}
    assert set(environment) - own == {variable for variable in environment if read_properties({variable: "x"})}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = read_settings(tier)
    assert {name: str(getattr(settings, name.lower())) for name in own} == {name: environment[name] for name in own}
    defaults = {topic.upper(): field.default for topic, field in tier.model_fields.items() if topic.endswith("_topic")}
    if "HEARTBEATS_TOPIC" in defaults:
        defaults["HEARTBEATS_TOPIC"] = postgres.HEARTBEATS
    assert defaults == settings.topic_names()


def test_two_joiners_are_two_members_of_one_group(services: dict[str, Service]) -> None:
    """Each has an id of its own, so that neither fences the other."""
    ids = [services[name]["environment"]["JOINER_INSTANCE_ID"] for name in ("joiner-1", "joiner-2")]
    assert len(set(ids)) == len(ids)


def test_joiners_have_one_view_which_is_the_built_in_one_until_it_is_edited(
    services: dict[str, Service], mounted: dict[str, Path]
) -> None:
    """Readers have none."""
    for name in ("joiner-1", "joiner-2"):
        (config,) = services[name]["configs"]
        assert ("view", services[name]["environment"]["USER_INFO_VIEW"]) == (config["source"], config["target"])
    assert BUILT_IN == read_view(mounted["view"])
    assert {"joiner-1", "joiner-2"} == {
        name for name, service in services.items() if "USER_INFO_VIEW" in service.get("environment", {})
    }


def test_kafka_is_configured_as_the_stack_configures_it(services: dict[str, Service]) -> None:
    """Each of the broker's properties that the stack sets has the same value."""
    environment = services["kafka"]["environment"]
    compared = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in kafka.PROPERTIES.items()}
    assert compared.items() <= environment.items()


def test_postgres_is_configured_as_the_stack_configures_it(
    services: dict[str, Service], mounted: dict[str, Path]
) -> None:
    """Options, database and tables are the stack's."""
    service = services["postgres"]
    words = service["command"][1:]
    assert ["-c"] * (len(words) // 2) == words[::2]
    # The image's own scripts speak to the server over its socket.
    wanted = {name: value for name, value in postgres.OPTIONS.items() if name != "unix_socket_directories"}
    assert wanted == dict(option.split("=", 1) for option in words[1::2])
    assert postgres.DATABASE == service["environment"]["POSTGRES_DB"]
    assert mounted["schema"].samefile(ops.SCHEMA_FILE)


def test_the_source_topics_are_made_as_the_stack_makes_them(services: dict[str, Service]) -> None:
    """Names, partitions and policies are the stack's."""
    script = services["topics"]["command"][2]
    named = re.search(r"for topic in (.*); do", script)
    assert named is not None
    assert list(connect.TOPICS) == named[1].split()
    assert [str(connect.PARTITIONS)] == re.findall(r"--partitions (\d+)", script)
    assert dict(re.findall(r"--config ([\w.]+)=(\S+)", script)) == ops.read_source_topic()


def test_the_connector_is_the_stacks(services: dict[str, Service], mounted: dict[str, Path]) -> None:
    """The stack reads the same file and changes nothing but the database's address and password; versions agree."""
    assert mounted["connector"].samefile(ops.CONNECTOR_FILE)
    sent = json.loads(mounted["connector"].read_text())
    place = {"database.hostname": "127.0.0.1", "database.port": "5433", "database.password": ""}
    assert sent["config"] | place == connect.build_connector("127.0.0.1", 5433)
    assert connect.CONNECTOR == sent["name"] == sent["config"]["name"]
    assert ("postgres", "5432") == (sent["config"]["database.hostname"], sent["config"]["database.port"])
    assert "${dir:/run/secrets:postgres-password}" == sent["config"]["database.password"]
    script = services["connector"]["command"][2]
    artifact = re.search(r"-Dartifact=([^:]+:[^:]+:[^:]+):tar.gz:plugin", script)
    assert artifact is not None
    assert artifact[1] in connect.COORDINATES.split("+")
    assert f"connect-runtime:{services['connect']['image'].partition(':')[2]}" in connect.COORDINATES
    assert f"connectors/{connect.CONNECTOR}/status" in services["connect"]["healthcheck"]["test"][3]


def test_the_connector_captures_the_four_tables_and_writes_the_heartbeats(mounted: dict[str, Path]) -> None:
    """Its tables are those of the publication in the schema, and its producer sends what its topics take."""
    config = json.loads(mounted["connector"].read_text())["config"]
    tables = [*(table.name for table in TABLES), postgres.HEARTBEATS]
    assert list(connect.TOPICS) == tables
    schema = mounted["schema"].read_text()
    assert f"ALTER PUBLICATION {config['publication.name']} SET TABLE {', '.join(tables)};" in schema
    assert config["heartbeat.action.query"].startswith(f"INSERT INTO {postgres.HEARTBEATS} ")
    size = config["topic.creation.default.max.message.bytes"]
    assert size == config["producer.override.max.request.size"]
    assert kafka.SOURCE_MESSAGE_BYTES == int(size)
    assert MAX_MESSAGE_BYTES < int(size)


def test_connects_worker_is_the_stacks(mounted: dict[str, Path]) -> None:
    """The stack reads the same file and changes nothing but addresses and paths, which are those of compose.yaml."""
    assert mounted["worker"].samefile(ops.WORKER_FILE)
    worker = ops.read_worker()
    effective = connect.build_worker("127.0.0.1:9092", 8083)
    places = {"bootstrap.servers", "listeners", "offset.storage.file.filename"}
    assert worker.keys() - {"plugin.path"} == effective.keys()
    assert places == {name for name, value in effective.items() if worker[name] != value}
    assert worker["bootstrap.servers"] in COMPOSE.read_text()


def test_kafka_is_one_version_everywhere(services: dict[str, Service]) -> None:
    """Broker, topic tool and Connect are of the version that the tests run."""
    images = {services[name]["image"] for name in ("kafka", "topics", "connect")}
    assert {f"apache/kafka:{kafka.COORDINATES.partition('+')[0].rpartition(':')[2]}"} == images


def test_published_ports_are_the_stacks_and_stay_on_this_machine(services: dict[str, Service]) -> None:
    """Everything has the same address as with `make run`."""
    stack, reader = StackSettings.model_fields, ReaderSettings.model_fields
    assert {
        "kafka": [f"127.0.0.1:{stack['stack_kafka_port'].default}:9092"],
        "postgres": [f"127.0.0.1:{stack['stack_postgres_port'].default}:5432"],
        "connect": [f"127.0.0.1:{stack['stack_connect_port'].default}:8083"],
        "alertmanager": ["127.0.0.1:9093:9093"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "proxy": [f"127.0.0.1:{reader['reader_port'].default}:8000"],
    } == {name: service["ports"] for name, service in services.items() if "ports" in service}


def test_the_proxy_asks_every_reader(services: dict[str, Service]) -> None:
    """Its servers are the readers, at the port that their image listens on, and readiness decides."""
    proxy = (ROOT / "ops/proxy/haproxy.cfg").read_text()
    readers = [name for name in services if tier_of(name) == "reader"]
    port = re.search(r"READER_PORT=(\d+)", (ROOT / "Dockerfile").read_text())
    assert port is not None
    assert re.findall(r"^\s+server \S+ (\S+)", proxy, re.MULTILINE) == [f"{name}:{port[1]}" for name in readers]
    assert "http-check send meth GET uri /readyz" in proxy
    assert set(readers) == set(services["proxy"]["depends_on"])


def test_prometheus_asks_every_process_and_has_every_rule(services: dict[str, Service]) -> None:
    """Each target is a service at the port that it listens on, and no file of rules is left out."""
    folder = ROOT / "ops/prometheus"
    settings = yaml.safe_load((folder / "prometheus.yml").read_text())
    configs = [config for job in settings["scrape_configs"] for config in job["static_configs"]]
    ports = {"reader": 8000, "joiner": 8001}
    wanted = {f"{name}:{ports[tier_of(name)]}" for name in services if tier_of(name) in TIERS}
    targets = {target for config in configs for target in config["targets"]}
    assert wanted | {"connect:9404", "postgres-exporter:9187"} == targets
    assert "=9404:/etc/connect/jmx.yml" in services["connect"]["environment"]["KAFKA_OPTS"]
    mounted = {config["target"].rpartition("/")[2] for config in services["prometheus"]["configs"]}
    assert {"prometheus.yml", *(file.name for file in (folder / "rules").iterdir())} == mounted


def test_the_agent_is_the_one_that_the_tests_run(services: dict[str, Service]) -> None:
    """Kafka Connect's metrics come from the version whose metrics the rules were held against."""
    version = AGENT.rpartition(":")[2]
    assert f"-Dartifact={AGENT} " in services["connector"]["command"][2]
    options = services["connect"]["environment"]["KAFKA_OPTS"]
    assert f"/plugins/agent-{version}/jmx_prometheus_javaagent-{version}.jar=" in options
    assert AGENT in (ROOT / "ops/connect/jmx.yml").read_text()
