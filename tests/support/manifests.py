"""Puts the manifests of ops/kubernetes/ together as `kubectl apply -k` would, without a cluster."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]


def render(folder: Path) -> list[Manifest]:
    """Return the objects that a kustomization makes.

    Args:
        folder: that holds kustomization.yaml.
    """
    command = [str(Path(sys.executable).with_name("kubectl")), "kustomize", str(folder)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (rendered.returncode, rendered.stderr)
    return list(yaml.safe_load_all(rendered.stdout))


def select(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the objects of a kind, by name."""
    return {made["metadata"]["name"]: made for made in manifests if made["kind"] == kind}


def pod_of(workload: Manifest) -> Manifest:
    """Return the pod that a StatefulSet or a Deployment makes."""
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def container_of(workload: Manifest) -> Manifest:
    """Return the one container of a workload's pods."""
    (container,) = pod_of(workload)["containers"]
    assert isinstance(container, dict)
    return container


def read_environment(manifests: list[Manifest], workload: Manifest) -> dict[str, str]:
    """Return what a workload's first pod is given: variable -> value, of fields the pod's own.

    Raises:
        KeyError: it refers to a ConfigMap that is not there.
    """
    maps, container = select(manifests, "ConfigMap"), container_of(workload)
    environment: dict[str, str] = {}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            environment |= maps[source["configMapRef"]["name"]]["data"]
    fields = {"metadata.name": f"{workload['metadata']['name']}-0"}
    for variable in container.get("env", []):
        environment[variable["name"]] = variable.get("value") or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
    return environment
