"""The engine of a Kubernetes cluster: instances are Pods of the registry's images, behind this gateway."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from lightkube.resources.core_v1 import Secret
from lightkube.resources.networking_v1 import NetworkPolicy

from fnkit.errors import PlatformError
from fnkit.platform.data_plane.engine.engine import PooledEngine
from fnkit.platform.data_plane.kubernetes.cluster import Cluster, ClusterError, ClusterUnavailable, open_cluster
from fnkit.platform.data_plane.kubernetes.deployment_objects import registry_secret_name
from fnkit.platform.data_plane.kubernetes.platform_lease import PlatformLease
from fnkit.platform.data_plane.kubernetes.platform_objects import (
    instance_policy,
    instance_policy_name,
    registry_login,
)
from fnkit.platform.data_plane.kubernetes.pods import Pods
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.data_plane.kubernetes.source import KubernetesInstanceSource
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.routing import Route


@dataclass(frozen=True, slots=True)
class ClusterConnection:
    """A cluster that can be used.

    Attributes:
        cluster: The cluster.
        logs: Receives the output of instances.
        pods: The Pods of this platform.
        lease: Keeps another platform with the same secret key out.
    """

    cluster: Cluster
    logs: LogWriter
    pods: Pods
    lease: PlatformLease


async def connect(settings: KubernetesEngineSettings, clock: SyncedClock) -> ClusterConnection:
    """Connect to the cluster, and find the Pods that an earlier process has left.

    Raises:
        PlatformError: ``cluster-configuration``, ``cluster-unreachable``, ``cluster-refused`` or
            ``cluster-in-use``.
    """
    loop = asyncio.get_running_loop()
    cluster = open_cluster(settings)
    logs = LogWriter(settings.logs_directory, clock.now_ns, loop.time, loop.call_later)
    pods = Pods(cluster, settings, logs)
    lease = PlatformLease(cluster, settings)
    try:
        await lease.acquire()
        await cluster.put(registry_login(settings))
        await cluster.put(instance_policy(settings, _own_addresses(cluster.server)))
        await pods.open()
    except ClusterError as error:
        await _withdraw(cluster, lease, settings)
        raise _startup_error(cluster, error) from None
    except PlatformError:
        await cluster.close()  # the other platform has the same objects
        raise
    return ClusterConnection(cluster, logs, pods, lease)


class KubernetesEngine(PooledEngine):
    """An engine that runs instances as Pods.

    Args:
        connection: The cluster.
        settings: Settings.
        clock: The virtual clock, which decides when instances end.
        on_exit: Called with the deployment and the reason when an instance has ended unexpectedly.
    """

    def __init__(
        self,
        connection: ClusterConnection,
        settings: KubernetesEngineSettings,
        clock: SyncedClock,
        on_exit: Callable[[Route, str], None],
    ) -> None:
        super().__init__(
            KubernetesInstanceSource(
                connection.cluster, connection.lease, connection.pods, settings, connection.logs
            ),
            clock,
            connection.logs,
            on_exit,
            scale_down=settings.scale_down,
            queue_per_instance=settings.queue_per_instance,
        )


async def _withdraw(cluster: Cluster, lease: PlatformLease, settings: KubernetesEngineSettings) -> None:
    """Remove what a start that failed has created."""
    if lease.is_held:
        with contextlib.suppress(ClusterError):  # it may lack this right, and have the next one
            await cluster.delete(NetworkPolicy, instance_policy_name(settings))
        with contextlib.suppress(ClusterError):
            await cluster.delete(Secret, registry_secret_name(settings))
        await lease.release()
    await cluster.close()


def _startup_error(cluster: Cluster, error: ClusterError) -> PlatformError:
    text = f"The platform cannot use the cluster at {cluster.server}: {error}"
    if isinstance(error, ClusterUnavailable):
        return PlatformError(
            text,
            code="cluster-unreachable",
            hint="Check that `kubectl get pods` works with the same --kubeconfig and --kube-context.",
        )
    return PlatformError(
        text,
        code="cluster-refused",
        hint="`kubectl auth whoami` shows the account of the same --kubeconfig and --kube-context; `fnkit platform "
        "manifests` prints the namespace and the rights that it needs.",
    )


def _own_addresses(server: str) -> list[str]:
    """Return the address of this machine by which the cluster is reached; none if it has no route there."""
    parts = urlsplit(server)
    try:
        [family, *_, address] = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # sends nothing
            return [str(probe.getsockname()[0])]
    except OSError:
        return []
