"""Starts instances as Pods of a cluster.

A start creates a Pod, waits until the cluster has chosen a node for it, which is its turn and its reservation, and
connects to the core runtime in it as soon as that listens. Starts do not wait for each other. If the namespace's
quota or the nodes have no room, the instance that has been idle longest is ended first.

Pods outlive this process. The next one adopts those whose deployment is still served, and deletes the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Final, cast

from lightkube.core.resource import NamespacedResource
from lightkube.resources.core_v1 import Secret
from lightkube.resources.networking_v1 import NetworkPolicy

from fnkit.platform.data_plane.instance import Instance
from fnkit.platform.data_plane.kubernetes.cluster import Cluster, QuotaExceeded
from fnkit.platform.data_plane.kubernetes.deployment_objects import PORT, DeploymentObjects, build_objects
from fnkit.platform.data_plane.kubernetes.platform_lease import PlatformLease
from fnkit.platform.data_plane.kubernetes.platform_objects import private_network_policy
from fnkit.platform.data_plane.kubernetes.pod_instance import PodInstance
from fnkit.platform.data_plane.kubernetes.pods import Pods
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.routing import Route

_ADOPTION_SECONDS: Final = 10.0  # an adopted instance that cannot be reached for so long is replaced
_PULL_SECONDS: Final = 30.0  # the platform's registry may be restarting
_CONNECT_SECONDS: Final = 2.0
_CONNECT_PAUSE: Final = 0.015  # between attempts of one start; 1 ms more for each other start
_CONNECT_PAUSE_EACH: Final = 0.001
_WAIT_STEP: Final = 1.0
_log = logging.getLogger(__name__)


class KubernetesInstanceSource:
    """An ``InstanceSource`` of Pods.

    Args:
        cluster: The cluster.
        lease: Released at the end.
        pods: The Pods of this platform, after ``open``.
        settings: The settings.
        logs: Receives messages about instances.
    """

    def __init__(
        self,
        cluster: Cluster,
        lease: PlatformLease,
        pods: Pods,
        settings: KubernetesEngineSettings,
        logs: LogWriter,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._lease = lease
        self._cluster = cluster
        self._pods = pods
        self._settings = settings
        self._logs = logs
        self._admitted: dict[str, deque[PodInstance]] = {}  # by revision: those that ``start`` will return
        self._warned: set[str] = set()  # revisions of which a start waits for room
        self._room: asyncio.Future[None] = self._loop.create_future()  # done when there may be room again
        self._networks: dict[str, asyncio.Future[None]] = {}
        self._connecting = 0
        self._is_closed = False

    @property
    def memory_used(self) -> int:
        """MB that instances have reserved."""
        return sum(instance.route.memory for instance in self._pods.instances.values())

    @property
    def memory_limit(self) -> int:
        """0: the cluster decides how much there is."""
        return 0

    # Starting

    async def admit(
        self,
        route: Route,
        *,
        is_needed: Callable[[], bool],
        is_releasing_memory: Callable[[], bool],
        evict_idle: Callable[[], bool],
    ) -> bool:
        """Create a Pod and wait until a node is chosen for it."""
        objects = build_objects(route, self._settings)

        def make_room(obstacle: str) -> None:
            if not (is_releasing_memory() or evict_idle()):
                self._warn(objects, obstacle)

        deadline = self._loop.time() + self._settings.start_seconds
        instance = await self._create(objects, deadline, is_needed, make_room)
        if instance is None:
            return False
        while not instance.scheduled.done():
            await self._wait(instance.scheduled, self._next_room())
            if instance.scheduled.done():
                break
            if not is_needed():
                instance.kill("no longer needed")
                return False
            if obstacle := instance.state_of_pod.unschedulable:
                if self._loop.time() > deadline:
                    instance.kill(f"no node has room for it: {obstacle}")
                    break
                make_room(f"no node has room for it: {obstacle}")
        if instance.is_terminating:
            await instance.ended
            raise OSError(instance.reason)
        self._warned.discard(objects.revision)
        self._admitted.setdefault(_key(route), deque()).append(instance)
        return True

    async def _create(
        self,
        objects: DeploymentObjects,
        deadline: float,
        is_needed: Callable[[], bool],
        make_room: Callable[[str], None],
    ) -> PodInstance | None:
        """Create a Pod as soon as the namespace's quota allows it; ``None`` if it is not needed any more.

        Raises:
            ClusterError: It was not created.
        """
        await self._ensure_network(objects.route)
        while is_needed():
            try:
                return await self._pods.create(objects, deadline - self._loop.time())
            except QuotaExceeded as error:
                if not self._pods.instances or self._loop.time() > deadline:
                    raise
                make_room(str(error))
                await self._wait(self._next_room())
        return None

    async def _ensure_network(self, route: Route) -> None:
        """Let the instances of the functions of a private network connect to each other."""
        network_id = route.private_network_id
        if not network_id:
            return
        if network_id not in self._networks or self._networks[network_id].exception():
            policy = private_network_policy(self._settings, network_id)
            self._networks[network_id] = self._loop.create_task(self._cluster.put(policy))
            await asyncio.wait([self._networks[network_id]])
        await asyncio.shield(self._networks[network_id])

    def _warn(self, objects: DeploymentObjects, obstacle: str) -> None:
        """Warn once until the next instance of the deployment is admitted."""
        if objects.revision not in self._warned:
            self._warned.add(objects.revision)
            self._logs.write_system(objects.route.function_id, f"waiting: {obstacle}")
            _log.warning("%s is waiting: %s", objects.route.name, obstacle)

    def _next_room(self) -> asyncio.Future[None]:
        if self._room.done():
            self._room = self._loop.create_future()
        return self._room

    @staticmethod
    async def _wait(*futures: asyncio.Future[None]) -> None:
        await asyncio.wait(futures, timeout=_WAIT_STEP, return_when=asyncio.FIRST_COMPLETED)

    def retry(self) -> None:
        """Let starts that wait for room look again."""
        if not self._room.done():
            self._room.set_result(None)

    async def start(self, route: Route, on_idle: Callable[[Instance], None]) -> PodInstance:
        """Return an instance that was admitted."""
        admitted = self._admitted[_key(route)]
        instance = admitted.popleft()
        if not admitted:
            del self._admitted[_key(route)]
        instance.serve(on_idle)
        return instance

    def adopt(self, route: Route, on_idle: Callable[[Instance], None]) -> Sequence[PodInstance]:
        """Return the instances of a deployment that an earlier process has started."""
        adopted = self._pods.adopt(build_objects(route, self._settings))
        for instance in adopted:
            instance.serve(on_idle)
            self._loop.call_later(_ADOPTION_SECONDS, _replace_unreachable, instance)
        return adopted

    async def wait_until_started(self, instance: Instance) -> bool:
        """Connect to its core runtime as soon as it listens, and wait for its answer."""
        pod = cast("PodInstance", instance)
        deadline = self._loop.time() + self._settings.start_seconds
        await self._await_address(pod, deadline)
        await self._connect(pod, deadline)
        if not pod.is_terminating and not pod.started.done():
            await asyncio.wait((pod.started,), timeout=max(0.0, deadline - self._loop.time()))
        if not pod.started.done():
            pod.kill(f"its handler was not imported within {self._settings.start_seconds:g} s")
            await pod.ended
        return pod.started.result()

    async def _await_address(self, pod: PodInstance, deadline: float) -> None:
        while not pod.addressed.done() and not pod.is_terminating:
            await self._wait(pod.addressed, self._next_room())
            if pod.pull_failed_since and monotonic() - pod.pull_failed_since > _PULL_SECONDS:
                pod.kill(f"its image cannot be pulled: {pod.state_of_pod.pull_failure}")
            elif self._loop.time() > deadline:
                pod.kill(f"its container was not started within {self._settings.start_seconds:g} s")

    async def _connect(self, pod: PodInstance, deadline: float) -> None:
        """Connect as soon as the core runtime accepts it: when the handler is imported."""
        self._connecting += 1
        try:
            while not pod.is_terminating and self._loop.time() < deadline:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        await self._loop.create_connection(lambda: pod, pod.state_of_pod.address, PORT)
                        return
                await asyncio.sleep(_CONNECT_PAUSE + _CONNECT_PAUSE_EACH * self._connecting)
        finally:
            self._connecting -= 1

    def on_started(self, route: Route, instance: Instance) -> None:
        """Do nothing: a start leaves nothing behind."""

    def on_ended(self, route: Route, instance: Instance) -> None:
        """Let starts that wait for room look again."""
        del route, instance
        self.retry()

    def retire(self, route: Route) -> None:
        """Delete the Secret of a deployment."""
        revision = build_objects(route, self._settings).revision
        self._warned.discard(revision)
        self._pods.remove_secret(revision)

    def prestart(self, routes: Iterable[Route]) -> None:
        """Do nothing: a Pod that nothing needs would take the place of one that is needed."""

    def prestart_interpreter(self, interpreter: str) -> None:
        """Do nothing: an image brings its interpreter."""

    def discard_leftovers(self) -> None:
        """Delete what an earlier process has left and no deployment has adopted."""
        self._pods.discard_leftovers()

    # Running instances

    def memory_usage(self, instances: Iterable[Instance]) -> int | None:
        """Return ``None``: the API server does not know it."""
        return None if any(True for _ in instances) else 0

    def close(self) -> None:
        """End every instance."""
        self._pods.close()

    async def wait_closed(self) -> None:
        """Wait until nothing is left in the cluster, but for a few seconds only."""
        if self._is_closed:
            return
        self._is_closed = True
        policies = [
            (NetworkPolicy, f"{self._settings.object_prefix}-network-{network_id}") for network_id in self._networks
        ]
        own: list[tuple[type[NamespacedResource], str]] = [
            (NetworkPolicy, f"{self._settings.object_prefix}-instances"),
            (Secret, f"{self._settings.object_prefix}-registry"),
        ]
        await self._pods.wait_closed([*policies, *own])
        await self._lease.release()
        await self._cluster.close()


def _key(route: Route) -> str:
    return f"{route.function_id}@{route.generation}"


def _replace_unreachable(instance: PodInstance) -> None:
    if not instance.started.done():
        instance.was_killed_externally = True
        instance.kill("it could not be reached after the start of the platform")
