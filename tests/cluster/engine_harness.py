"""The Kubernetes engine, as the conformance suite of engines needs it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from lightkube import Client, KubeConfig
from lightkube.core.client import LabelSelector
from lightkube.resources.core_v1 import Pod, Secret

from fnkit.platform.data_plane.kubernetes.engine import KubernetesEngine, connect
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.model.log_record import LogRecord
from fnkit.platform.model.routing import ImageProgram, Route
from fnkit.platform.model.settings import Quotas
from tests.cluster.cluster import Cluster
from tests.cluster.network import HOST_ADDRESS
from tests.support.control_process import ControlProcess, running_control, zip_archive
from tests.support.data_plane import SECRET_KEY
from tests.support.engine_harness import EngineHarness
from tests.support.fake_data_plane import FakeDataPlane, connected_data_plane
from tests.support.handler_latch import HandlerLatch, handler_latch
from tests.support.ports import free_port

__all__ = [
    "FunctionImages",
    "KubernetesEngineHarness",
    "kubernetes_settings",
    "open_kubernetes_engine",
    "running_kubernetes_engine",
    "serving_images",
]

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
def serving_images(cluster: Cluster, folder: Path, secret_key: str = SECRET_KEY) -> Iterator[FunctionImages]:
    """Serve images to the nodes of a cluster.

    Args:
        cluster: The cluster.
        folder: An empty directory.
        secret_key: The secret key of the platform whose functions they are.
    """
    port = free_port()
    registry_host = f"{HOST_ADDRESS}:{port}"
    cluster.trust_registry(registry_host)
    settings = {
        "host": "0.0.0.0",
        "api_port": port,
        "engine": "kubernetes",
        "registry_host": registry_host,
        "secret_key": secret_key,
    }
    with (
        # Each image is that of a function, and a data plane with this key may pull them.
        running_control(folder, quotas=_NO_QUOTAS, **settings) as control,
        connected_data_plane(control.settings.control_socket) as data_plane,
    ):
        namespace = control.create_namespace()
        yield FunctionImages(control, data_plane, registry_host, namespace["id"])


class KubernetesEngineHarness(EngineHarness):
    """The engine of a cluster.

    Attributes:
        settings: Its settings.
        client: Reads and changes what is in its namespace.
        labels: Those of everything that the engine has created.
    """

    def __init__(self, latch: HandlerLatch, images: FunctionImages, settings: KubernetesEngineSettings) -> None:
        super().__init__(latch)
        self.settings = settings
        self._images = images
        self.labels: LabelSelector = {"fnkit.dev/platform": settings.platform_id}
        self.client = Client(KubeConfig.from_file(settings.kubeconfig), namespace=settings.namespace)

    def store_program(self, _name: str, source: str) -> ImageProgram:
        return self._images.make({"handler.py": source})

    def pods(self) -> list[Pod]:
        """Return the Pods of this platform."""
        return list(self.client.list(Pod, namespace=self.client.namespace, labels=self.labels))

    def instance_count(self) -> int:
        return len(self.pods())

    def log_lines(self, route: Route, stream: str = "system") -> list[str]:
        """Return the lines of one stream in the log of a function."""
        lines = [
            msgspec.json.decode(line, type=LogRecord)
            for file in sorted((self.settings.logs_directory / route.function_id).glob("*.jsonl"))
            for line in file.read_bytes().split(b"\n")[:-1]  # the last one may be incomplete
        ]
        return [line.message for line in lines if line.stream == stream]

    def is_gone(self) -> bool:
        return not self.instance_count() and not list(
            self.client.list(Secret, namespace=self.client.namespace, labels=self.labels)
        )


def kubernetes_settings(
    cluster: Cluster, namespace: str, images: FunctionImages, folder: Path
) -> KubernetesEngineSettings:
    """Return the settings of an engine.

    Args:
        cluster: The cluster.
        namespace: The namespace of its Pods.
        images: What makes its images.
        folder: The directory of its files.
    """
    return KubernetesEngineSettings(
        kubeconfig=str(cluster.kubeconfig),
        namespace=namespace,
        registry_host=images.registry_host,
        secret_key=images.control.settings.secret_key,
        holder="tests",
        logs_directory=folder / "logs",
        log_positions_file=folder / "pod-logs.json",
    )


@asynccontextmanager
async def running_kubernetes_engine(
    settings: KubernetesEngineSettings, images: FunctionImages
) -> AsyncIterator[KubernetesEngineHarness]:
    """Run an engine with these settings, and close it."""
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
    settings = kubernetes_settings(cluster, namespace, images, folder)
    async with running_kubernetes_engine(settings, images) as harness:
        yield harness
