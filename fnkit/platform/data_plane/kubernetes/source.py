"""Starts instances as Pods of a cluster.

A start creates a Pod, waits until the cluster has chosen a node for it, which is its turn and its reservation, and
connects to the core runtime in it as soon as that listens. Starts do not wait for each other. If the namespace's
quota or the nodes have no room, the instance that has been idle longest is ended first, unless that cannot help.

Pods outlive this process. The next one adopts those whose deployment is still served, and deletes the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Final, cast

from lightkube.core.resource import NamespacedResource
from lightkube.resources.core_v1 import Secret
from lightkube.resources.networking_v1 import NetworkPolicy

from fnkit.platform.data_plane.instance import Instance
from fnkit.platform.data_plane.kubernetes.cluster import Cluster, ClusterError, QuotaExceeded
from fnkit.platform.data_plane.kubernetes.deployment_objects import (
    PORT,
    DeploymentObjects,
    build_objects,
    registry_secret_name,
)
from fnkit.platform.data_plane.kubernetes.obstacles import fits_a_node, fits_quota
from fnkit.platform.data_plane.kubernetes.platform_lease import PlatformLease
from fnkit.platform.data_plane.kubernetes.platform_objects import (
    instance_policy_name,
    private_network_policy,
    registry_login,
)
from fnkit.platform.data_plane.kubernetes.pod_instance import PodInstance
from fnkit.platform.data_plane.kubernetes.pods import Pods
from fnkit.platform.data_plane.kubernetes.room import Room
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.routing import Route

_ADOPTION_SECONDS: Final = 10.0  # an adopted instance that cannot be reached for so long is replaced
_RESTORATION_SECONDS: Final = 5.0  # a Pod without an address for so long may wait for a Secret that is gone
_QUOTA_SECONDS: Final = 10.0  # a quota that others use up for so long fails a start
_CONNECT_SECONDS: Final = 2.0
_CONNECT_PAUSE: Final = 0.015  # between attempts of one start; 1 ms more for each other start
_CONNECT_PAUSE_EACH: Final = 0.001
_ACCEPTANCE_SECONDS: Final = 30.0  # for the node to notice a Pod; a busy one takes a few seconds
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
        self._warned: set[str] = set()  # deployments of which a start waits for something
        self._room: asyncio.Future[None] = self._loop.create_future()  # done when there may be room again
        self._networks: dict[str, asyncio.Future[None]] = {}
        self._connecting = 0
        self._is_closed = False

    @property
    def memory_used(self) -> int:
        """MB that instances have reserved."""
        return sum(instance.route.memory for instance in self._pods.instances.values())

    @property
    def memory_limit(self) -> None:
        """``None``: the cluster decides how much there is."""

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
        room = Room(is_releasing_memory, evict_idle, partial(self._warn, route))
        deadline = self._loop.time() + self._settings.start_seconds
        objects = build_objects(route, self._settings)
        while True:
            instance = await self._create(objects, deadline, is_needed, room)
            if instance is None or not await self._await_node(instance, deadline, is_needed, room):
                return False
            if not instance.is_terminating:
                self._warned.discard(_key(route))
                self._admitted.setdefault(_key(route), deque()).append(instance)
                return True
            await instance.ended
            if not instance.was_killed_externally:
                raise OSError(instance.reason)

    async def _await_node(
        self, instance: PodInstance, deadline: float, is_needed: Callable[[], bool], room: Room
    ) -> bool:
        """Wait until a node is chosen for a Pod, or it ends. Return whether it is still needed."""
        while not instance.scheduled.done():
            await self._wait(instance.scheduled, self._next_room())
            if instance.scheduled.done():
                break
            if not is_needed():
                instance.kill("no longer needed")
                return False
            if (obstacle := instance.state_of_pod.unschedulable) and self._pods.lost_nodes.names:
                # It may be better to wait for a node that does not answer than to have none.
                self._pods.lost_nodes.clear()
                instance.was_killed_externally = True
                instance.kill("no node has room for it but one that does not answer")
                break
            if obstacle:
                if self._loop.time() > deadline:
                    instance.kill(f"no node has room for it: {obstacle}")
                    break
                room.make(f"no node has room for it: {obstacle}", can_help=fits_a_node(obstacle))
        return True

    async def _create(
        self,
        objects: DeploymentObjects,
        deadline: float,
        is_needed: Callable[[], bool],
        room: Room,
    ) -> PodInstance | None:
        """Create a Pod as soon as the namespace's quota allows it; ``None`` if it is not needed any more.

        Raises:
            ClusterError: It was not created.
        """
        await self._ensure_network(objects.route)
        others_since = self._loop.time()  # since when the quota is used up without an instance of this platform
        while is_needed():
            try:
                return await self._pods.create(objects, deadline - self._loop.time())
            except QuotaExceeded as error:
                now = self._loop.time()
                if self._pods.instances:
                    others_since = now
                if not fits_quota(str(error)) or now > min(deadline, others_since + _QUOTA_SECONDS):
                    raise
                room.make(str(error))
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

    def _warn(self, route: Route, obstacle: str) -> None:
        """Warn once until the next instance of the deployment is admitted."""
        if _key(route) not in self._warned:
            self._warned.add(_key(route))
            self._logs.write_system(route.function_id, f"waiting: {obstacle}")
            _log.warning("%s is waiting: %s", route.name, obstacle)

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
            # It answers when its handler has completed the request of the earlier process.
            instance.start_seconds = max(instance.start_seconds, route.timeout)
            instance.serve(on_idle)
            self._loop.call_later(_ADOPTION_SECONDS, _replace_unreachable, instance)
        return adopted

    async def wait_until_started(self, instance: Instance) -> bool:
        """Connect to its core runtime as soon as it listens, and wait for its answer."""
        pod = cast("PodInstance", instance)
        overseeing = self._loop.create_task(self._oversee_start(pod))
        try:
            while not pod.addressed.done() and not pod.is_terminating:
                await self._wait(pod.addressed)
            await self._connect(pod)
            await asyncio.wait((pod.started,))
        finally:
            overseeing.cancel()
        return pod.started.result()

    async def _oversee_start(self, pod: PodInstance) -> None:
        """End a start that does not succeed in time, and restore what it may miss."""
        now = self._loop.time()
        deadline, next_restoration = now + pod.start_seconds, now + _RESTORATION_SECONDS
        acceptance_deadline = now + _ACCEPTANCE_SECONDS
        while not pod.is_terminating:
            await asyncio.sleep(_WAIT_STEP)
            state, now = pod.state_of_pod, self._loop.time()
            if state.pull_failure:
                self._warn(pod.route, f"its image cannot be pulled: {state.pull_failure}")
                if monotonic() - pod.pull_failed_since > self._settings.pull_seconds:
                    pod.kill(f"its image cannot be pulled: {state.pull_failure}")
            if now > deadline:
                what = "its handler was not imported" if state.has_output else "its container was not started"
                pod.kill(f"{what} within {pod.start_seconds:g} s")
            if not state.is_accepted and now > acceptance_deadline:
                pod.lose_node()
            if not state.has_output and now > next_restoration:
                next_restoration = now + _RESTORATION_SECONDS
                await self._restore_secrets(pod.route)

    async def _restore_secrets(self, route: Route) -> None:
        """Create the Secrets that a Pod waits for, if somebody has deleted them."""
        await self._pods.restore_secret(build_objects(route, self._settings))
        with contextlib.suppress(ClusterError):
            await self._cluster.create(registry_login(self._settings))

    async def _connect(self, pod: PodInstance) -> None:
        """Connect as soon as the core runtime accepts it: when the handler is imported."""
        self._connecting += 1
        try:
            while not pod.is_terminating:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        await self._loop.create_connection(lambda: pod, pod.state_of_pod.address, PORT)
                        return
                is_pulled = not pod.state_of_pod.pull_failure
                pause = _CONNECT_PAUSE + _CONNECT_PAUSE_EACH * self._connecting if is_pulled else _WAIT_STEP
                await asyncio.sleep(pause)
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
        self._warned.discard(_key(route))
        self._pods.remove_secret(build_objects(route, self._settings).revision)

    def prestart(self, routes: Iterable[Route]) -> None:
        """Do nothing: a Pod that nothing needs would take the place of one that is needed."""

    def prestart_interpreter(self, language: str, interpreter: str, memory: int) -> None:
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
            (NetworkPolicy, instance_policy_name(self._settings)),
            (Secret, registry_secret_name(self._settings)),
        ]
        await self._pods.wait_closed([*policies, *own])
        await self._lease.release()
        await self._cluster.close()


def _key(route: Route) -> str:
    return f"{route.function_id}@{route.generation}"


def _replace_unreachable(instance: PodInstance) -> None:
    if not instance.started.done() and not instance.is_connected:
        instance.was_killed_externally = True
        instance.kill("it could not be reached after the start of the platform")
