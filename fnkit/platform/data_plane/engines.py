"""Chooses the engine, and prepares what it needs before it can be created."""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.engine.scale_down import ScaleDown
from fnkit.platform.data_plane.interface import Engine
from fnkit.platform.data_plane.local.engine import LocalEngine
from fnkit.platform.data_plane.local.isolation_probe import best_level
from fnkit.platform.data_plane.local.source import LocalEngineSettings
from fnkit.platform.data_plane.workers.isolation import Level, unenforced
from fnkit.platform.data_plane.workers.zygote import Storage
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.routing import Route
from fnkit.platform.model.settings import DataLayout, ProcessSettings

_CLUSTER_CLOSING_SECONDS: Final = 3.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedEngine:
    """What is needed to create an engine.

    Attributes:
        isolation: The isolation level in force, which control shows.
        create: Creates the engine, given what to call with deployment and reason when an instance has ended
            unexpectedly.
        can_replace_files: Whether instances in Python can replace files of the code that they see, for themselves.
        closing_seconds: How long it may take to remove its instances, when the process ends.
    """

    isolation: str
    create: Callable[[Callable[[Route, str], None]], Engine]
    closing_seconds: float = 0.0
    can_replace_files: bool = False


async def prepare_engine(settings: ProcessSettings, runtime_directory: Path, clock: SyncedClock) -> PreparedEngine:
    """Prepare the engine that the settings name.

    Args:
        settings: Settings of the process.
        runtime_directory: Private directory for the files of instances.
        clock: The virtual clock, which decides when instances end.

    Raises:
        PlatformError: No sufficient isolation level works, or the cluster cannot be used.
    """
    if settings.engine == "kubernetes":
        return await _prepare_kubernetes(settings, clock)
    return await _prepare_local(settings, runtime_directory, clock)


async def _prepare_kubernetes(settings: ProcessSettings, clock: SyncedClock) -> PreparedEngine:
    # Imported here: these modules need the extra, and take a third of a second.
    from fnkit.platform.data_plane.kubernetes.engine import KubernetesEngine, connect
    from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each request
    layout = DataLayout(Path(settings.data_dir))
    holder = f"{socket.gethostname()}:{layout.data_dir.resolve()}"
    engine_settings = KubernetesEngineSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.kube_context,
        namespace=settings.kube_namespace,
        labels=settings.kube_labels,
        registry_host=settings.registry_host,
        secret_key=settings.secret_key,
        holder=hashlib.sha256(holder.encode()).hexdigest()[:16],
        logs_directory=layout.logs_dir,
        log_positions_file=layout.data_dir / "pod-logs.json",
        hard_cpu=settings.cpu_limits == "hard",
        scale_down=ScaleDown(settings.scale_to_one_after, settings.scale_to_zero_after),
    )
    connection = await connect(engine_settings, clock)
    _log.info("instances are Pods in namespace %s of %s", connection.cluster.namespace, connection.cluster.server)
    return PreparedEngine(
        "kubernetes", lambda on_exit: KubernetesEngine(connection, engine_settings, clock, on_exit)
    )


_STORAGE_LACKS: Final = {
    Storage.DISK: "",
    Storage.MEMORY: "; the file system of the data directory refuses overlays, so instances write to memory",
    Storage.READ_ONLY: "; the kernel refuses overlays, so instances can write to /home/app, /tmp and /dev/shm only",
}


async def _prepare_local(settings: ProcessSettings, runtime_dir: Path, clock: SyncedClock) -> PreparedEngine:
    layout = DataLayout(Path(settings.data_dir))
    level, storage = await best_level(settings.isolation, runtime_dir, layout.disks_dir)
    open_aspects = ", ".join(aspect.value for aspect in unenforced(level)) or "nothing"
    lack = _STORAGE_LACKS[storage] if level.has_namespaces else ""
    _log.info("isolation: %s; not enforced: %s%s", level.value, open_aspects, lack)
    if settings.cpu_limits == "hard" and level is not Level.CGROUP:
        _log.warning("--cpu-limits=hard is not enforced: isolation %s has no control groups", level.value)
    engine_settings = LocalEngineSettings(
        level=level,
        runtime_directory=runtime_dir,
        logs_directory=layout.logs_dir,
        code_directory=layout.deployments_dir,
        memory_budget=settings.memory_budget_mb,
        hard_cpu=settings.cpu_limits == "hard",
        disks_directory=layout.disks_dir,
        scale_down=ScaleDown(settings.scale_to_one_after, settings.scale_to_zero_after),
    )
    return PreparedEngine(
        level.value,
        lambda on_exit: LocalEngine(engine_settings, clock, on_exit),
        can_replace_files=level.has_namespaces and storage is not Storage.READ_ONLY,
    )
