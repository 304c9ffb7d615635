"""What becomes of this platform's Pods: a list, then its changes, then a new list, as long as it is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from lightkube.resources.core_v1 import Pod

from fnkit.platform.data_plane.kubernetes.cluster import Cluster, ClusterError

_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 5.0
_log = logging.getLogger(__name__)


class PodWatch:
    """Reports each change of a Pod. While the API server is away, instances go on answering requests.

    Args:
        cluster: The cluster.
        on_pod: Called with a Pod that is new or has changed.
        on_deleted: Called with the name of a Pod that is gone.
    """

    def __init__(self, cluster: Cluster, on_pod: Callable[[Pod], None], on_deleted: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._on_pod = on_pod
        self._on_deleted = on_deleted
        self._known: set[str] = set()
        self._version = ""

    async def list(self) -> list[Pod]:
        """Return all Pods, and report those that are gone. Raises ``ClusterError``."""
        pods, self._version = await self._cluster.list(Pod)
        names = {pod_name(pod) for pod in pods}
        gone, self._known = self._known - names, names
        for name in gone:
            self._on_deleted(name)
        return pods

    async def run(self) -> None:
        """Report changes since the last list. Never returns."""
        pause = 0.0
        while True:
            try:
                if pause:
                    for pod in await self.list():
                        self._on_pod(pod)
                    if pause > _FIRST_PAUSE:
                        _log.info("The cluster answers again.")
                pause = 0.0
                await self._watch()
                pause = _FIRST_PAUSE
            except ClusterError as error:
                if pause == _FIRST_PAUSE:
                    _log.warning("Instances keep running, but %s", error)
                pause = min(_LAST_PAUSE, max(_FIRST_PAUSE, pause * 2))
            await asyncio.sleep(pause)

    async def _watch(self) -> None:
        async for change, pod in self._cluster.watch_pods(self._version):
            name = pod_name(pod)
            if change == "DELETED":
                self._known.discard(name)
                self._on_deleted(name)
            else:
                self._known.add(name)
                self._on_pod(pod)


def pod_name(pod: Pod) -> str:
    """Return the name of a Pod."""
    return (pod.metadata.name if pod.metadata is not None else None) or ""
