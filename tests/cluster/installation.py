"""Installs the platform in a cluster with what ``fnkit platform manifests`` prints."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.cluster.cluster import Cluster
from tests.cluster.network import HOST_ADDRESS, node_name
from tests.support.command import Command
from tests.support.control_process import ControlProcess, control_settings
from tests.support.image_registry import running_registry
from tests.support.platform_image import make_platform_image
from tests.support.ports import free_port
from tests.support.processes import arguments_of
from tests.support.waiting import wait_until

__all__ = ["InstalledPlatform", "installed_platform"]

_READY_SECONDS: Final = 240


@dataclass
class InstalledPlatform:
    """A platform that runs in a cluster.

    Attributes:
        cluster: The cluster.
        namespace: Its namespace.
        manifests: What it was installed with: a List.
        home: The directory that is its volume.
    """

    cluster: Cluster
    namespace: str
    manifests: dict[str, Any]
    home: Path

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in its namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments)

    def pods(self, selector: str) -> dict[str, dict[str, Any]]:
        """Return the Pods of its namespace with a label, by name."""
        found = json.loads(self.kubectl("get", "pods", "--output=json", f"--selector={selector}"))["items"]
        return {pod["metadata"]["name"]: pod for pod in found}

    def instances(self) -> dict[str, dict[str, Any]]:
        """Return the Pods of functions by name."""
        return self.pods("fnkit.dev/function-id")

    @property
    def registry_namespace(self) -> str:
        """The namespace of the registry forwarders."""
        return f"{self.namespace}-registry"

    def supervisor(self) -> int:
        """Return the ID, on this machine, of the process that runs the platform; 0 if there is none."""
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and f"--kube-namespace {self.namespace} " in arguments_of(int(entry.name)):
                    return int(entry.name)
        return 0

    def wait_until_ready(self) -> None:
        """Wait until the Deployment and the DaemonSet have what they ask for."""
        wait_until(self._is_ready, _READY_SECONDS, what="an installed platform")

    def _is_ready(self) -> bool:
        platform = self._status(self.namespace, "deployment", "fnkit-platform")
        nodes = self._status(self.registry_namespace, "daemonset", "fnkit-registry-forwarder")
        wanted = nodes["desiredNumberScheduled"]
        is_forwarding = nodes["numberReady"] == nodes.get("updatedNumberScheduled") == wanted > 0
        return is_forwarding and platform.get("readyReplicas") == 1

    def _status(self, namespace: str, kind: str, name: str) -> dict[str, Any]:
        found = self.cluster.kubectl("--namespace", namespace, "get", kind, name, "--output=json")
        status: dict[str, Any] = json.loads(found)["status"]
        return status

    def address(self) -> str:
        """Return the address of the platform's Pod."""
        (pod,) = self.pods("app.kubernetes.io/name=fnkit-platform").values()
        return str(pod["status"]["podIP"])

    def client(self, folder: Path) -> ControlProcess:
        """Return a client of its API, with the keys that it has created in its volume."""
        command = ("exec", "deployment/fnkit-platform", "--", "fnkit", "platform", "env", "--format", "json")
        printed = json.loads(self.kubectl(*command))
        return ControlProcess(
            control_settings(
                folder,
                host=self.address(),
                api_port=8480,
                gateway_port=8481,
                secret_key=printed["secret_key"],
                project_id=printed["project_id"],
            )
        )

    def call(self, domain: str) -> bytes:
        """Return the body of a function's response, or nothing while the gateway cannot be reached."""
        connection = http.client.HTTPConnection(self.address(), 8481, timeout=60)
        try:
            connection.request("GET", "/", headers={"Host": domain})
            response = connection.getresponse()
            body = response.read()
        except OSError:
            return b""
        finally:
            connection.close()
        return body if response.status == http.client.OK else b""


@contextmanager
def installed_platform(cluster: Cluster, folder: Path, fnkit: Command) -> Iterator[InstalledPlatform]:
    """Build an image of the platform and install it.

    Args:
        cluster: The cluster.
        folder: For the image and the volume.
        fnkit: The command.
    """
    image = make_platform_image(folder / "layers")
    with running_registry(folder / "registry", port=free_port(), address="0.0.0.0") as registry:
        registry.push("fnkit", "1", image)
        host = f"{HOST_ADDRESS}:{registry.host.rpartition(':')[2]}"
        cluster.trust_registry(host)
        namespace = f"tests-{uuid.uuid4().hex[:8]}"  # also the class of its volume
        options = ("--image", f"{host}/fnkit:1", "--namespace", namespace, "--storage-class", namespace, "--json")
        manifests = fnkit("platform", "manifests", *options, "--", "--domain-suffix", "fn.test").ok().json()
        home = folder / "volume"
        home.mkdir()
        cluster.kubectl("apply", "-f", "-", document=_volume(namespace, home))
        cluster.kubectl("apply", "-f", "-", document=manifests)
        platform = InstalledPlatform(cluster, namespace, manifests, home)
        try:
            _resolve_service(platform)
            platform.wait_until_ready()
            yield platform
        finally:
            cluster.kubectl("delete", "--ignore-not-found", "-f", "-", "--wait=false", document=manifests)
            cluster.kubectl("delete", "persistentvolume", namespace, "--wait=false")


def _volume(name: str, home: Path) -> dict[str, object]:
    """Return a volume that is a directory of this machine, on the first node."""
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node_name(1)]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": name,
            "local": {"path": str(home)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
        },
    }


def _resolve_service(platform: InstalledPlatform) -> None:
    """Let the forwarders find the platform's Service: this cluster has no DNS."""
    address = platform.kubectl("get", "service", "fnkit-platform", "--output=jsonpath={.spec.clusterIP}")
    alias = {"ip": address, "hostnames": [f"fnkit-platform.{platform.namespace}.svc"]}
    patch = json.dumps({"spec": {"template": {"spec": {"hostAliases": [alias]}}}})
    forwarder = ("daemonset", "fnkit-registry-forwarder", "--patch", patch)
    platform.cluster.kubectl("--namespace", platform.registry_namespace, "patch", *forwarder)
