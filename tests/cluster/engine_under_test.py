"""The Kubernetes engine, as tests use it that run with every engine: ``pytest --engine=kubernetes``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import pytest

from fnkit.platform.model.routing import ImageProgram
from tests.cluster.cluster import Cluster
from tests.cluster.engine_harness import FunctionImages
from tests.cluster.network import HOST_ADDRESS
from tests.support.engine_under_test import EngineUnderTest, InstanceOwner
from tests.support.ports import free_port

__all__ = ["ClusterEngine"]


class ClusterEngine(EngineUnderTest):
    """Instances are Pods of a cluster. Each platform and each data plane has a namespace of its own.

    Args:
        cluster: The cluster.
        images: Makes the images of functions whose data plane has no control process.
    """

    host = HOST_ADDRESS

    def __init__(self, cluster: Cluster, images: FunctionImages) -> None:
        self._cluster = cluster
        self._images = images
        self._programs: dict[Path, ImageProgram] = {}
        self._lock = Lock()

    @contextmanager
    def platform_options(self) -> Iterator[tuple[str, ...]]:
        port = free_port()
        registry_host = f"{HOST_ADDRESS}:{port}"
        self._cluster.trust_registry(registry_host)
        with self._cluster.temporary_namespace() as namespace:
            yield (
                *("--engine", "kubernetes", "--kubeconfig", str(self._cluster.kubeconfig)),
                *("--kube-namespace", namespace, "--registry-host", registry_host),
                *("--host", "0.0.0.0", "--api-port", str(port)),
            )

    @contextmanager
    def data_plane_settings(self) -> Iterator[dict[str, object]]:
        with self._cluster.temporary_namespace() as namespace:
            yield {
                "engine": "kubernetes",
                "kubeconfig": str(self._cluster.kubeconfig),
                "kube_namespace": namespace,
                "registry_host": self._images.registry_host,
            }

    def program(self, code: Path, interpreter: str) -> ImageProgram:
        del interpreter  # an image brings its own
        with self._lock:
            if code not in self._programs:
                files = (path for path in code.rglob("*") if path.is_file())
                self._programs[code] = self._images.make(
                    {str(path.relative_to(code)): path.read_bytes() for path in files}
                )
            return self._programs[code]

    def require_local(self, what: str) -> None:
        pytest.skip(f"of the engine of this machine: {what}")

    def instances(self, owner: InstanceOwner, function: str = "") -> list[str]:
        """Return the names of Pods. The host name of each is the name of its function."""
        found = []
        for pod in self._cluster.items("pods", f"--namespace={owner.kube_namespace}"):
            metadata, spec = pod["metadata"], pod["spec"]
            assert isinstance(metadata, dict)
            assert isinstance(spec, dict)
            if not function or spec["hostname"] == function:
                found.append(str(metadata["name"]))
        return sorted(found)

    def kill_instance(self, owner: InstanceOwner, name: str) -> None:
        """Delete its Pod, which exists until its container has been killed."""
        options = ("--grace-period=1", "--ignore-not-found", "--wait=false")
        self._cluster.kubectl("delete", "pod", name, f"--namespace={owner.kube_namespace}", *options)
