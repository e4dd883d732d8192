"""ops/kubernetes/sharded, which no cluster runs here: readers for each shard, behind a proxy that knows them."""

import re

import pytest
import yaml

from joiner.settings import JoinerSettings
from tests.support.manifests import Manifest, container_of, pod_of, read_environment, render, select
from tests.support.programs import ROOT

COMPOSE: Manifest = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["proxy"]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """Give the objects of the deployment."""
    return render(ROOT / "ops/kubernetes/sharded")


def test_every_shard_is_a_set_of_readers_that_the_proxy_knows(manifests: list[Manifest]) -> None:
    """Each takes its share of as many as there are, and the proxy sends its users to the Service of its readers."""
    readers = {name: made for name, made in select(manifests, "StatefulSet").items() if name != "joiner"}
    count = len(readers)
    given = {name: read_environment(manifests, made)["READER_SHARD"] for name, made in readers.items()}
    assert given == {f"reader-{number}": f"{number}/{count}" for number in range(count)}
    settings = read_proxy(manifests)
    partitions = JoinerSettings.model_fields["user_info_partitions"].default
    assert [str(partitions), str(count)] == re.findall(r"mod\((\d+)\)", settings.partition("\nglobal\n")[2])
    services = select(manifests, "Service")
    for number in range(count):
        ((name, host, port),) = re.findall(
            rf"^backend shard{number}\n    server (\S+) ([^:]+):(\d+)$", settings, re.MULTILINE
        )
        assert name == host == f"reader-{number}"
        assert int(port) == services[host]["spec"]["ports"][0]["port"]
        pods = readers[name]["spec"]["template"]["metadata"]["labels"]
        assert services[host]["spec"]["selector"].items() <= pods.items()
        assert "clusterIP" not in services[host]["spec"]


def read_proxy(manifests: list[Manifest]) -> str:
    """Return the settings that the proxy's pods mount."""
    (volume,) = pod_of(select(manifests, "Deployment")["proxy"])["volumes"]
    settings: str = select(manifests, "ConfigMap")[volume["configMap"]["name"]]["data"]["haproxy.cfg"]
    return settings


def test_the_proxy_decides_as_the_one_outside_kubernetes(manifests: list[Manifest]) -> None:
    """Only its servers are other ones: a Service for each shard, in place of readers whose addresses may change."""
    wanted = (ROOT / "ops/proxy/haproxy-sharded.cfg").read_text().partition("\nglobal\n")[2]
    for found, instead in (
        (r"^# The container engine.*\nresolvers engine\n(    .*\n)+\n", ""),
        (r" resolvers engine init-addr last,libc,none", " init-addr libc"),
        (r"^    server reader-\d-(?!1 ).*\n", ""),
        (r"reader-(\d)-1", r"reader-\1"),
    ):
        wanted = re.sub(found, instead, wanted, flags=re.MULTILINE)
    assert wanted == read_proxy(manifests).partition("\nglobal\n")[2]


def test_the_proxys_pods_are_as_in_compose(manifests: list[Manifest]) -> None:
    """Image, port, memory and the way to ask for its state are the same; a proxy without readers is not restarted."""
    container = container_of(select(manifests, "Deployment")["proxy"])
    assert COMPOSE["image"] == container["image"]
    assert COMPOSE["configs"][0]["target"] == f"{container['volumeMounts'][0]['mountPath']}/haproxy.cfg"
    assert f"/{container['ports'][0]['containerPort']}" in COMPOSE["healthcheck"]["test"][3]
    assert f"GET {container['readinessProbe']['httpGet']['path']} " in COMPOSE["healthcheck"]["test"][3]
    assert ["tcpSocket"] == list(container["livenessProbe"])
    memory = container["resources"]["limits"]["memory"].removesuffix("i")
    assert COMPOSE["deploy"]["resources"]["limits"]["memory"] == memory
