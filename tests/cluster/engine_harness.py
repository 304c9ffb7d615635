"""The Kubernetes engine, as the conformance suite of engines needs it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lightkube import Client, KubeConfig
from lightkube.core.client import LabelSelector
from lightkube.resources.core_v1 import Pod, Secret

from fnkit.platform.data_plane.kubernetes.engine import KubernetesEngine, connect
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.model.routing import ImageProgram
from fnkit.platform.model.settings import Quotas
from tests.cluster.cluster import Cluster
from tests.cluster.network import HOST_ADDRESS
from tests.support.control_process import ControlProcess, running_control, zip_archive
from tests.support.data_plane import SECRET_KEY
from tests.support.engine_harness import EngineHarness
from tests.support.fake_data_plane import FakeDataPlane, connected_data_plane
from tests.support.handler_latch import HandlerLatch, handler_latch
from tests.support.ports import free_port

__all__ = ["FunctionImages", "KubernetesEngineHarness", "open_kubernetes_engine", "serving_images"]

_NO_QUOTAS: Final = Quotas(namespaces=None, functions=None, memory=None)


@dataclass(frozen=True, slots=True)
class FunctionImages:
    """Makes and serves images of functions.

    Attributes:
        control: The control process that does it.
        data_plane: What it takes for its data plane.
        registry_host: Its registry, as nodes reach it.
        namespace_id: The namespace of its functions.
    """

    control: ControlProcess
    data_plane: FakeDataPlane
    registry_host: str
    namespace_id: object

    def make(self, files: Mapping[str, str | bytes]) -> ImageProgram:
        """Return the image of a function with these files."""
        name = f"f{uuid.uuid4().hex[:8]}"
        function = self.control.create_function(self.namespace_id, name, handler="handler.handle")
        deployed = self.control.deploy(function["id"], zip_archive(files))
        assert deployed["status"] == "ready", deployed
        routes = (upsert.route for upsert in reversed(self.data_plane.upserts))
        program = next(route.program for route in routes if route.function_id == function["id"])
        assert isinstance(program, ImageProgram)
        return program


@contextmanager
def serving_images(cluster: Cluster, folder: Path) -> Iterator[FunctionImages]:
    """Serve images to the nodes of a cluster."""
    port = free_port()
    registry_host = f"{HOST_ADDRESS}:{port}"
    cluster.trust_registry(registry_host)
    settings = {"host": "0.0.0.0", "api_port": port, "engine": "kubernetes", "registry_host": registry_host}
    with (
        # Each image is that of a function, and a data plane with this key may pull them.
        running_control(folder, secret_key=SECRET_KEY, quotas=_NO_QUOTAS, **settings) as control,
        connected_data_plane(control.settings.control_socket) as data_plane,
    ):
        namespace = control.create_namespace()
        yield FunctionImages(control, data_plane, registry_host, namespace["id"])


class KubernetesEngineHarness(EngineHarness):
    """The engine of a cluster.

    Attributes:
        client: A client of the cluster.
        labels: Those of everything that the engine has created.
    """

    def __init__(self, latch: HandlerLatch, images: FunctionImages, settings: KubernetesEngineSettings) -> None:
        super().__init__(latch)
        self._images = images
        self.labels: LabelSelector = {"fnkit.dev/platform": settings.platform_id}
        self.client = Client(KubeConfig.from_file(settings.kubeconfig), namespace=settings.namespace)

    def store_program(self, _name: str, source: str) -> ImageProgram:
        return self._images.make({"handler.py": source})

    def instance_count(self) -> int:
        return len(list(self.client.list(Pod, namespace=self.client.namespace, labels=self.labels)))

    def is_gone(self) -> bool:
        return not self.instance_count() and not list(
            self.client.list(Secret, namespace=self.client.namespace, labels=self.labels)
        )


@asynccontextmanager
async def open_kubernetes_engine(
    cluster: Cluster, namespace: str, images: FunctionImages, folder: Path
) -> AsyncIterator[KubernetesEngineHarness]:
    """Run an engine of a cluster, and close it.

    Args:
        cluster: The cluster.
        namespace: The namespace of its Pods.
        images: What makes its images.
        folder: An empty directory.
    """
    settings = KubernetesEngineSettings(
        kubeconfig=str(cluster.kubeconfig),
        namespace=namespace,
        registry_host=images.registry_host,
        secret_key=images.control.settings.secret_key,
        holder="tests",
        logs_directory=folder / "logs",
        log_positions_file=folder / "pod-logs.json",
    )
    with handler_latch(HOST_ADDRESS) as latch:
        harness = KubernetesEngineHarness(latch, images, settings)
        connection = await connect(settings, harness.clock)
        harness.engine = KubernetesEngine(connection, settings, harness.clock, harness.on_exit)
        try:
            yield harness
        finally:
            harness.engine.close()
            await harness.engine.wait_closed()
            harness.client.close()
