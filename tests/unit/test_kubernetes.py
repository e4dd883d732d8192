"""ops/kubernetes/, which no cluster runs here, is what Kubernetes takes, and says what images and compose.yaml say."""

import re
import tomllib
from pathlib import Path
from shutil import copytree

import kubernetes_validate
import pytest
import yaml

from joiner.settings import JoinerSettings
from reader.settings import ReaderSettings
from shared.kafka import read_properties
from shared.settings import KafkaSettings, read_settings
from shared.view.file import parse_view
from shared.view.model import BUILT_IN
from tests.support.manifests import Manifest, container_of, pod_of, read_environment, render, select
from tests.support.programs import ROOT

FOLDER = ROOT / "ops/kubernetes"
OVERLAYS = ["base", "sharded"]
RELEASES = ["1.30", ".".join(kubernetes_validate.latest_version().split(".")[:2])]
"""The oldest that has all that is used, and the newest whose schemas there are."""

TIERS: dict[str, type[KafkaSettings]] = {"joiner": JoinerSettings, "reader": ReaderSettings}
COMPOSE: Manifest = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPONENT = "app.kubernetes.io/component"
OWN = {"JOINER_INSTANCE_ID"}
"""What each process has of its own."""


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """Give the objects of each deployment."""
    return render(FOLDER / request.param)


@pytest.fixture
def tiers(manifests: list[Manifest]) -> list[tuple[str, Manifest]]:
    """Give the StatefulSets, each with its tier."""
    sets = select(manifests, "StatefulSet").values()
    assert set(TIERS) == {made["metadata"]["labels"][COMPONENT] for made in sets}
    return [(made["metadata"]["labels"][COMPONENT], made) for made in sets]


@pytest.mark.parametrize("release", RELEASES)
def test_the_api_takes_every_object(manifests: list[Manifest], release: str) -> None:
    """Each is valid by the schema of its kind, which knows no field but those of that release."""
    for made in manifests:
        assert release == kubernetes_validate.validate(made, release, strict=True)
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(made | {"unknown": {}}, release, strict=True)


def matches(selector: Manifest, workload: Manifest) -> bool:
    """Return whether a selector takes a workload's pods."""
    return bool(selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items())


def test_every_selector_takes_the_pods_of_one_workload(manifests: list[Manifest]) -> None:
    """No Service sends requests to another tier, and no budget or spread counts another one's pods."""
    workloads = select(manifests, "StatefulSet") | select(manifests, "Deployment")
    selectors = {
        (made["kind"], made["metadata"]["name"]): made["spec"]["selector"].get("matchLabels", made["spec"]["selector"])
        for made in manifests
        if "selector" in made.get("spec", {})
    }
    for (kind, name), selector in selectors.items():
        taken = [other for other, workload in workloads.items() if matches(selector, workload)]
        assert 1 == len(taken), (kind, name)
        assert kind not in {"StatefulSet", "Deployment", "PodDisruptionBudget"} or [name] == taken
    for name, workload in workloads.items():
        for spread in pod_of(workload)["topologySpreadConstraints"]:
            assert workload["spec"]["selector"] == spread["labelSelector"], name


def test_every_tier_may_lose_a_pod_and_readers_grow(manifests: list[Manifest]) -> None:
    """One at a time is taken from each set on purpose; the autoscaler alone says how many readers there are."""
    sets, scaled = select(manifests, "StatefulSet"), select(manifests, "HorizontalPodAutoscaler")
    budgets = select(manifests, "PodDisruptionBudget")
    for name, made in sets.items():
        assert 1 == budgets[name]["spec"]["maxUnavailable"]
        spec = scaled[name]["spec"] if name in scaled else None
        assert (made["metadata"]["labels"][COMPONENT] == "reader") is (spec is not None)
        least = made["spec"]["replicas"] if spec is None else spec["minReplicas"]
        assert 2 <= least
        assert spec is None or ("replicas" not in made["spec"] and name == spec["scaleTargetRef"]["name"])


def test_pods_have_names_of_their_own(manifests: list[Manifest], tiers: list[tuple[str, Manifest]]) -> None:
    """Each set is governed by a Service that gives every pod an address, ready or not."""
    services = select(manifests, "Service")
    for _, made in tiers:
        service = services[made["spec"]["serviceName"]]["spec"]
        assert ("None", True) == (service["clusterIP"], service["publishNotReadyAddresses"])
        assert matches(service["selector"], made)
        assert service["ports"][0]["port"] == container_of(made)["ports"][0]["containerPort"]


def test_the_tiers_understand_their_settings(
    manifests: list[Manifest], tiers: list[tuple[str, Manifest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable is a setting of its tier, or the Kafka client's, and its value is accepted."""
    for tier, made in tiers:
        environment = read_environment(manifests, made)
        own = {variable for variable in environment if variable.lower() in TIERS[tier].model_fields}
        assert set(environment) - own == {variable for variable in environment if read_properties({variable: "x"})}
        with monkeypatch.context() as patched:
            for variable, value in environment.items():
                patched.setenv(variable, value)
            settings = read_settings(TIERS[tier])
        assert {name: str(getattr(settings, name.lower())) for name in own} == {name: environment[name] for name in own}


def test_the_tiers_have_the_settings_of_compose(manifests: list[Manifest], tiers: list[tuple[str, Manifest]]) -> None:
    """What both set is the same, but for addresses; the view is the built-in one in both."""
    for tier, made in tiers:
        given, composed = read_environment(manifests, made), COMPOSE[f"{tier}-1"]["environment"]
        apart = {"KAFKA_BOOTSTRAP_SERVERS", "USER_INFO_VIEW", *OWN}
        assert {name: given[name] for name in set(composed) - apart} == {
            name: value for name, value in composed.items() if name not in apart
        }


def test_each_joiner_has_an_id_and_nothing_of_the_cluster_is_a_setting(
    manifests: list[Manifest], tiers: list[tuple[str, Manifest]]
) -> None:
    """Its id is its pod's name; addresses of Services, such as READER_PORT, are not put among the variables."""
    for tier, made in tiers:
        assert pod_of(made)["enableServiceLinks"] is False
        if tier == "joiner":
            assert "joiner-0" == read_environment(manifests, made)["JOINER_INSTANCE_ID"]


def test_ports_and_probes_are_those_of_image_and_compose(tiers: list[tuple[str, Manifest]]) -> None:
    """Life by /livez, as the image's own check; traffic by /readyz, as in compose.yaml; as long to start as there."""
    for tier, made in tiers:
        container, check = container_of(made), COMPOSE[f"{tier}-1"]["healthcheck"]
        (port,) = container["ports"]
        assert ("http", str(port["containerPort"])) == (port["name"], read_image(tier, r"EXPOSE (\d+)"))
        assert f"http://127.0.0.1:{port['containerPort']}/readyz" in check["test"][3]
        probes = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
        assert {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"} == {
            name: probe["httpGet"]["path"] for name, probe in probes.items()
        }
        assert "+ '/livez'" in read_image(tier, r"HEALTHCHECK.*\n(.*)")
        assert {"http"} == {probe["httpGet"]["port"] for probe in probes.values()}
        assert check["start_period"] == f"{probes['startup']['periodSeconds'] * probes['startup']['failureThreshold']}s"
        assert all(check["timeout"] == f"{probe['timeoutSeconds']}s" for probe in probes.values())


def read_image(tier: str, pattern: str) -> str:
    """Return what a pattern finds in the stage of a tier's image, or in the one it is made from."""
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    for name in (f"tier AS {tier}\n", "python:${PYTHON} AS tier\n"):
        (stage,) = [stage for stage in stages if stage.startswith(name)]
        found = re.search(pattern, stage)
        if found is not None:
            return found[1]
    raise AssertionError(pattern)


def test_a_pod_is_confined_as_its_container_is_in_compose(tiers: list[tuple[str, Manifest]]) -> None:
    """User, folders, privileges, memory and time to end are the same; the state's volume belongs to the user."""
    for tier, made in tiers:
        pod, container, composed = pod_of(made), container_of(made), COMPOSE[f"{tier}-1"]
        user = int(read_image(tier, r"USER (\d+)"))
        assert (user, user, True) == tuple(
            pod["securityContext"][name] for name in ("runAsUser", "fsGroup", "runAsNonRoot")
        )
        assert composed["stop_grace_period"] == f"{pod['terminationGracePeriodSeconds']}s"
        confined = container["securityContext"]
        assert composed["read_only"] is confined["readOnlyRootFilesystem"]
        assert composed["cap_drop"] == confined["capabilities"]["drop"]
        assert confined["allowPrivilegeEscalation"] is ("no-new-privileges:true" not in composed["security_opt"])
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert {"state": read_image(tier, r"VOLUME (\S+)"), "tmp": composed["tmpfs"][0]} == mounted
        assert mounted["state"] == read_image(tier, rf"{tier.upper()}_STATE_DIR=(\S+)")
        assert composed["volumes"] == [f"{tier}-1:{mounted['state']}"]
        assert ["state"] == [claim["metadata"]["name"] for claim in made["spec"]["volumeClaimTemplates"]]
        resources = container["resources"]
        assert composed["deploy"]["resources"]["limits"]["memory"] == resources["limits"]["memory"].removesuffix("i")
        assert resources["limits"]["memory"] == resources["requests"]["memory"]


def test_the_overlay_in_the_operations_guide_is_one(tmp_path: Path) -> None:
    """Put together as it stands there, it deploys the images, the Kafka, the password and the view that it names."""
    guide = (ROOT / "docs/operations.md").read_text().partition("\n## Run it on Kubernetes\n")[2]
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", guide.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    (tmp_path / "kustomization.yaml").write_text(shown.replace("user-information-service", "."))
    (tmp_path / "view.toml").write_text((ROOT / "ops/view.toml").read_text())
    (tmp_path / "kafka.env").write_text("KAFKA_SASL_PASSWORD=open sesame\n")
    copytree(FOLDER, tmp_path / "ops/kubernetes")
    manifests = render(tmp_path)
    for made in manifests:
        kubernetes_validate.validate(made, RELEASES[0], strict=True)
        assert "user-info" == made["metadata"]["namespace"]
    secret, *_ = select(manifests, "Secret")
    for name, made in select(manifests, "StatefulSet").items():
        environment, container = read_environment(manifests, made), container_of(made)
        assert container["image"].startswith(f"registry.example.org/user-info-{name}:")
        assert "kafka-1:9092,kafka-2:9092" == environment["KAFKA_BOOTSTRAP_SERVERS"]
        assert secret in [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
        volumes = {volume["name"]: volume for volume in pod_of(made)["volumes"]}
        if name == "joiner":
            (place,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "view"]
            assert environment["USER_INFO_VIEW"] == f"{place}/view.toml"
            assert "heartbeats" == environment["HEARTBEATS_TOPIC"]
            view = select(manifests, "ConfigMap")[volumes["view"]["configMap"]["name"]]
            assert BUILT_IN == parse_view(view["data"]["view.toml"])


def test_images_are_those_of_compose_in_the_projects_version(tiers: list[tuple[str, Manifest]]) -> None:
    """An image without a version would be another one tomorrow."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for tier, made in tiers:
        assert f"{COMPOSE[f'{tier}-1']['image']}:{version}" == container_of(made)["image"]
