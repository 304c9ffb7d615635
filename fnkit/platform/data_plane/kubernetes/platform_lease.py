"""One data plane at a time owns what a platform has created in a cluster: the holder of its Lease.

Two platforms with different secret keys do not know each other's objects. Two with one key, such as a platform and
a copy of its data directory, would end each other's instances, so that the second one does not start. Clocks of
machines differ: a Lease has expired when it was not renewed for its duration while it was watched, as for leaders
that use it (https://kubernetes.io/docs/concepts/architecture/leases/).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime
from typing import Final

from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

from fnkit.errors import PlatformError
from fnkit.platform.data_plane.kubernetes.cluster import Cluster, ClusterError, ClusterUnavailable
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings

_DURATION_SECONDS: Final = 15
_RENEWAL_SECONDS: Final = 5.0
_OBSERVATION_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)


class PlatformLease:
    """The Lease of a platform.

    Args:
        cluster: The cluster.
        settings: The settings, with the name of the holder.
    """

    def __init__(self, cluster: Cluster, settings: KubernetesEngineSettings) -> None:
        self._loop = asyncio.get_running_loop()
        self._cluster = cluster
        self._holder = settings.holder
        self._name = settings.object_prefix
        self._labels = settings.all_labels
        self._renewal: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether ``acquire`` has succeeded."""
        return self._renewal is not None

    async def acquire(self) -> None:
        """Become its holder, and stay it until ``release``.

        A holder that was killed on this machine is followed at once, since its successor has its name.

        Raises:
            ClusterError: The cluster refuses it, or is not available.
            PlatformError: ``cluster-in-use``.
        """
        seen, since = "", self._loop.time()
        while not await self._try_to_become_holder(is_expired=self._loop.time() - since > _DURATION_SECONDS):
            renewed = await self._last_renewal()
            if seen and renewed != seen:
                raise PlatformError(
                    f"Another platform with the same secret key uses namespace {self._cluster.namespace}.",
                    code="cluster-in-use",
                    hint="Stop it, or start this one with a data directory of its own or another --kube-namespace.",
                )
            seen = renewed
            await asyncio.sleep(_OBSERVATION_SECONDS)
        self._renewal = self._loop.create_task(self._renew())

    async def _try_to_become_holder(self, *, is_expired: bool) -> bool:
        with contextlib.suppress(ClusterUnavailable):  # for example, another process has just replaced it
            return await self._try_to_hold(is_expired=is_expired)
        return False

    async def _try_to_hold(self, *, is_expired: bool) -> bool:
        """Create or renew the Lease. Return ``False`` if it has another holder."""
        current = await self._cluster.get(Lease, self._name)
        if current is None:
            await self._cluster.create(self._new_lease(None))
            current = await self._cluster.get(Lease, self._name)
        if current is None:
            return False
        holder = current.spec.holderIdentity if current.spec is not None else None
        if holder not in (None, "", self._holder) and not is_expired:
            return False
        version = current.metadata.resourceVersion if current.metadata is not None else None
        await self._cluster.replace(self._new_lease(version))
        return True

    def _new_lease(self, version: str | None) -> Lease:
        return Lease(
            metadata=ObjectMeta(name=self._name, labels=self._labels, resourceVersion=version),
            spec=LeaseSpec(
                holderIdentity=self._holder,
                leaseDurationSeconds=_DURATION_SECONDS,
                renewTime=datetime.now(UTC),
            ),
        )

    async def _last_renewal(self) -> str:
        current = await self._cluster.get(Lease, self._name)
        return str(current.spec.renewTime) if current is not None and current.spec is not None else ""

    async def _renew(self) -> None:
        is_held = True
        while True:
            await asyncio.sleep(_RENEWAL_SECONDS)
            with contextlib.suppress(ClusterError):  # without the cluster, no other process can take it
                was_held, is_held = is_held, await self._try_to_hold(is_expired=False)
                if was_held and not is_held:
                    _log.error("Another platform with the same secret key has taken over its instances.")

    async def release(self) -> None:
        """Let another process become its holder at once."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(ClusterError):  # it expires
                await self._cluster.delete(Lease, self._name)
