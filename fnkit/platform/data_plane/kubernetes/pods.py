"""The Pods of this platform: creates them, follows what becomes of them, and deletes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable
from typing import Final

from lightkube.core.resource import NamespacedResource
from lightkube.resources.core_v1 import Pod, Secret

from fnkit.platform.data_plane.instance import InstanceState
from fnkit.platform.data_plane.kubernetes.cluster import Cluster, ClusterError, QuotaExceeded
from fnkit.platform.data_plane.kubernetes.deployment_objects import DeploymentObjects
from fnkit.platform.data_plane.kubernetes.log_positions import LogPositions
from fnkit.platform.data_plane.kubernetes.lost_nodes import LostNodes
from fnkit.platform.data_plane.kubernetes.pod_instance import PodInstance
from fnkit.platform.data_plane.kubernetes.pod_log import PodLog
from fnkit.platform.data_plane.kubernetes.pod_state import read_pod
from fnkit.platform.data_plane.kubernetes.pod_watch import PodWatch, pod_name
from fnkit.platform.data_plane.kubernetes.settings import REVISION_LABEL, KubernetesEngineSettings
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.derived_keys import instance_key

_LOG_END_SECONDS: Final = 3.0  # for the last lines of a container that has ended
_RETRY_SECONDS: Final = 3600.0  # an object that could not be deleted for so long is left to the next start
_CLOSE_SECONDS: Final = 3.0
_log = logging.getLogger(__name__)


class Pods:
    """The Pods of a platform, and the Secrets that they need.

    Args:
        cluster: The cluster.
        settings: The settings.
        logs: Receives the output of instances.

    Attributes:
        instances: By the names of their Pods.
        lost_nodes: Where no instance is started now.
    """

    def __init__(self, cluster: Cluster, settings: KubernetesEngineSettings, logs: LogWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._cluster = cluster
        self._settings = settings
        self._logs = logs
        self._positions = LogPositions(settings.log_positions_file)
        self._watch = PodWatch(cluster, self._on_pod, self._on_deleted)
        self.instances: dict[str, PodInstance] = {}
        self.lost_nodes = LostNodes()
        self._leftovers: dict[str, Pod] = {}  # by name: Pods of an earlier process
        self._secrets: dict[str, asyncio.Task[None]] = {}  # by revision: their creation
        self._logs_followed: dict[str, asyncio.Task[None]] = {}  # by the name of the Pod
        self._tasks: set[asyncio.Task[None]] = set()
        self._deletions: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Find the Pods that an earlier process has left, and watch all from now on. Raises ``ClusterError``."""
        self._leftovers = {pod_name(pod): pod for pod in await self._watch.list()}
        self._spawn(self._watch.run())

    # Pods of an earlier process

    def adopt(self, objects: DeploymentObjects) -> list[PodInstance]:
        """Return the instances of a deployment that an earlier process has started and that still run."""
        adopted = []
        for name, pod in list(self._leftovers.items()):
            # One that has ended is deleted with those that no deployment adopts.
            if _revision(pod) == objects.revision and not read_pod(pod).end:
                del self._leftovers[name]
                adopted.append(self._add(name, objects))
                self._loop.call_soon(self._on_pod, pod)
        if adopted:
            self._secrets[objects.revision] = self._spawn(self._cluster.create(objects.secret))
        return adopted

    def discard_leftovers(self) -> None:
        """Delete the Pods and Secrets of an earlier process that no deployment has adopted."""
        names = list(self._leftovers)
        self._leftovers.clear()
        for name in names:
            self._spawn_deletion(self._delete(Pod, name))
        self._spawn_deletion(self._discard_secrets())

    async def _discard_secrets(self) -> None:
        with contextlib.suppress(ClusterError):  # the next start finds them
            secrets, _ = await self._cluster.list(Secret)
            for secret in secrets:
                metadata = secret.metadata
                revision = (metadata.labels or {}).get(REVISION_LABEL) if metadata is not None else None
                if metadata is not None and revision is not None and revision not in self._secrets:
                    await self._delete(Secret, metadata.name or "")

    # Creation

    async def create(self, objects: DeploymentObjects, seconds: float) -> PodInstance:
        """Create the Pod of an instance. While the cluster is not available, try for so many seconds.

        Raises:
            ClusterError: It was not created.
        """
        await self._cluster.retry(lambda: self._create_secret(objects), seconds)
        pod = objects.new_pod(self.lost_nodes.names)
        instance = self._add(pod_name(pod), objects)  # its first change may arrive before the response
        try:
            await self._cluster.retry(lambda: self._cluster.create(pod), seconds)
        except QuotaExceeded:
            del self.instances[instance.name]  # it uses none of the quota
            raise
        except BaseException:
            instance.on_deleted()
            raise
        return instance

    async def _create_secret(self, objects: DeploymentObjects) -> None:
        """Create the Secret of a deployment, once."""
        creation = self._secrets.get(objects.revision)
        if creation is None or (creation.done() and creation.exception() is not None):
            creation = self._secrets[objects.revision] = self._spawn(self._cluster.create(objects.secret))
        await asyncio.shield(creation)

    async def restore_secret(self, objects: DeploymentObjects) -> None:
        """Create the Secret of a deployment again, if somebody has deleted it while a Pod waits for it."""
        with contextlib.suppress(ClusterError):
            if objects.revision in self._secrets:
                await self._cluster.create(objects.secret)
            if objects.revision not in self._secrets:  # the deployment has been replaced meanwhile
                await self._delete(Secret, f"{self._settings.object_prefix}-{objects.revision}")

    def remove_secret(self, revision: str) -> None:
        """Delete the Secret of a deployment that starts no further instance."""
        creation = self._secrets.pop(revision, None)
        if creation is not None:
            self._spawn_deletion(self._delete(Secret, f"{self._settings.object_prefix}-{revision}"))

    def _add(self, name: str, objects: DeploymentObjects) -> PodInstance:
        route = objects.route
        key = instance_key(self._settings.secret_key, route.function_id, route.generation)
        instance = self.instances[name] = PodInstance(name, route, key, self._logs, self._on_kill)
        instance.start_seconds = self._settings.start_seconds
        return instance

    # What becomes of them

    def _on_pod(self, pod: Pod) -> None:
        name, state = pod_name(pod), read_pod(pod)
        instance = self.instances.get(name)
        if instance is None:
            if name in self._leftovers:
                self._leftovers[name] = pod
            return
        if state.has_output and name not in self._logs_followed:
            follower = PodLog(self._cluster, instance, self._logs, self._positions)
            self._logs_followed[name] = self._spawn(follower.follow())
        instance.on_state(state)

    def _on_deleted(self, name: str) -> None:
        self._leftovers.pop(name, None)
        instance = self.instances.get(name)
        if instance is not None:
            instance.on_deleted()

    def _on_kill(self, instance: PodInstance) -> None:
        self._spawn_deletion(self._end(instance))
        node = instance.state_of_pod.node
        if instance.has_lost_node and node not in self.lost_nodes.names:
            self.lost_nodes.add(node)
            _log.warning("Node %s does not answer: no instance is started there for a minute", node)
            for other in list(self.instances.values()):  # before they get a request, or while they start
                if other.state_of_pod.node == node and other.state is not InstanceState.BUSY:
                    other.lose_node()

    async def _end(self, instance: PodInstance) -> None:
        """Delete a Pod, after the last lines of its log if its container ends by itself."""
        name = instance.name
        follower = self._logs_followed.get(name)
        if instance.is_exiting and follower is not None:
            await asyncio.wait([follower], timeout=_LOG_END_SECONDS)
        await self._delete(Pod, name)
        instance.on_deleted()
        if follower is not None:
            follower.cancel()
        self.instances.pop(name, None)
        self._logs_followed.pop(name, None)
        self._positions.forget(name)

    async def _delete(self, kind: type[NamespacedResource], name: str) -> None:
        """Delete an object, whenever the cluster is available again."""
        try:
            await self._cluster.retry(lambda: self._cluster.delete(kind, name), _RETRY_SECONDS)
        except ClusterError as error:
            _log.warning("%s %s is left: %s", kind.__name__, name, error)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _spawn_deletion(self, work: Coroutine[None, None, None]) -> None:
        task = self._spawn(work)
        self._deletions.add(task)
        task.add_done_callback(self._deletions.discard)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it handles it

    # The end

    def close(self) -> None:
        """End every instance."""
        for instance in list(self.instances.values()):
            instance.kill("the platform is stopping")

    async def wait_closed(self, others: Iterable[tuple[type[NamespacedResource], str]]) -> None:
        """Wait until all Pods, their Secrets, and other objects are deleted.

        What could not be deleted in three seconds is left for the next start, which adopts or deletes it.
        """
        for revision in list(self._secrets):
            self.remove_secret(revision)
        for kind, name in others:
            self._spawn_deletion(self._delete(kind, name))
        if self._deletions:
            await asyncio.wait(self._deletions, timeout=_CLOSE_SECONDS)
        if self._deletions:
            _log.warning("%d objects are left in namespace %s", len(self._deletions), self._cluster.namespace)
        self._positions.save()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _revision(pod: Pod) -> str:
    labels = pod.metadata.labels if pod.metadata is not None else None
    return str((labels or {}).get(REVISION_LABEL, ""))
