"""The data-plane process: the gateway and the engine, configured by control.

It reads ``ProcessSettings`` as JSON from standard input, and keeps serving its last routes while control is away.
On SIGTERM it drains for up to ten seconds. All instances end with it. It imports neither control nor the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform import routing
from fnkit.platform.engine.clock import VirtualClock
from fnkit.platform.engine.contract import Outcome
from fnkit.platform.engine.isolation import Level, left_open
from fnkit.platform.engine.local import EngineSettings, LocalEngine
from fnkit.platform.engine.probe import best_level
from fnkit.platform.engine.scaling import ScaleDown
from fnkit.platform.gateway.access import Access
from fnkit.platform.gateway.certificates import Certificates
from fnkit.platform.gateway.gateway import Gateway
from fnkit.platform.gateway.listeners import open_doors
from fnkit.platform.gateway.table import RoutingTable
from fnkit.platform.gateway.tls_door import TlsDoor
from fnkit.platform.gateway.tracing import Tracer
from fnkit.platform.gateway.tunnels import Tunnels
from fnkit.platform.layout import Layout, OtlpSettings, ProcessSettings
from fnkit.platform.routing import Route
from fnkit.platform.server.control_link import ControlLink

if TYPE_CHECKING:
    from fnkit.platform.gateway.span_export import SpanExporter

__all__ = ["DataPlane", "main"]

_FOLDER: Final = "instances-"
_DRAIN_SECONDS: Final = 9.5  # of the supervisor's ten: the rest is for the error responses of unfinished requests
_LOOK_SECONDS: Final = 0.05
_FLUSH_SECONDS: Final = 3.0
_EVERY_ADDRESS: Final = ("0.0.0.0", "::", "")  # noqa: S104  (compared, not bound)
_log = logging.getLogger(__name__)


class DataPlane:
    """Connects the client of control, the engine and the gateway.

    Args:
        settings: Settings of the process.
        isolation_level: The isolation level in force.
        runtime_dir: Private directory for the files of instances.
    """

    def __init__(self, settings: ProcessSettings, level: Level, runtime_folder: Path) -> None:
        self._settings = settings
        self._level = level
        self._clock = VirtualClock()
        engine_settings = EngineSettings(
            level=level,
            runtime_folder=runtime_folder,
            logs_folder=Layout(Path(settings.home)).logs,
            memory_budget=settings.memory_budget_mb,
            hard_cpu=settings.cpu_limits == "hard",
            disks_folder=Layout(Path(settings.home)).disks,
            scale_down=ScaleDown(settings.scale_to_one_after, settings.scale_to_zero_after),
        )
        self._engine = LocalEngine(engine_settings, self._clock, self._exited)
        self._table = RoutingTable((settings.host,))
        self._access = Access(settings.secret_key, self._clock.now)
        self._gateway = Gateway(self._engine, self._table, self._access)
        self._link = ControlLink(settings.control_socket, self._hello, self)
        self._exporter = _exporter(settings.otlp, self._gateway) if settings.otlp is not None else None
        self._rising: asyncio.Task[None] | None = None
        # Host names that changed after a function's last route was sent, for a deployment that is still starting.
        self._hosts: dict[str, tuple[str, ...]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then drain.

        The connection to control stays open while draining, so that it gets the reports of that time.

        Raises:
            OSError: A listener cannot be opened.
        """
        settings = self._settings
        sockets = (Path(settings.gateway_socket), Path(settings.delivery_socket))
        listeners = await open_doors(self._gateway, settings.host, settings.gateway_port, *sockets)
        certificates = self._certificates() if settings.tls_port else None
        self._gateway.tls_port = settings.tls_port
        self._gateway.tunnels = Tunnels(self._table, settings.gateway_port, certificates)
        if certificates is not None:
            listeners.append(TlsDoor(self._gateway, certificates, settings.host, settings.tls_port))
        link = asyncio.create_task(self._link.run())
        await stop.wait()
        for listener in listeners:
            listener.close()
        self._gateway.stop()
        await self._engine.drain(_DRAIN_SECONDS)
        link.cancel()
        if self._rising is not None:
            self._rising.cancel()
        self._gateway.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close, _FLUSH_SECONDS)
        self._engine.close()
        for path in sockets:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108  (one call, after everything else)

    def _certificates(self) -> Certificates:
        settings = self._settings
        names = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
        return Certificates(
            Layout(Path(settings.home)).authority,
            Path(settings.gateway_socket).parent,
            own_names=names if settings.host in _EVERY_ADDRESS else [*names, settings.host],
            is_routed=self._table.by_host,
        )

    def _hello(self) -> routing.Hello:
        return routing.Hello(pid=os.getpid(), gateway_port=self._settings.gateway_port, isolation=self._level.value)

    # Messages of control

    def apply_snapshot(self, snapshot: routing.Snapshot) -> None:
        """Serve exactly these routes. Instances of unchanged deployments keep running.

        A function that is unknown here gets its route before an instance runs: requests start the first instance.
        Any other function is deployed as by an upsert, so that its old deployment serves until the new one runs.
        """
        self._clock.set(snapshot.clock)
        self._access.replace(snapshot.credentials)
        self._hosts.clear()
        named = {route.function_id for route in snapshot.routes}
        for observation in list(self._engine.observe()):
            if observation.function_id not in named:
                self._remove(observation.function_id)
        for route in snapshot.routes:
            if self._engine.route(route.function_id) is None:
                self._put(route)
                self._engine.restore(route)
            else:
                self._deploy(route)
        self._engine.warm({route.interpreter for route in snapshot.routes if route.language == "Python"})
        self._gateway.has_snapshot = True
        self._engine.sweep()
        if self._rising is not None:
            self._rising.cancel()
        self._rising = asyncio.get_running_loop().create_task(self._rise(snapshot.version))

    def apply_upsert(self, upsert: routing.Upsert) -> None:
        """Start a deployment. ``DeploymentStarted`` or ``DeploymentFailed`` is reported later."""
        self._hosts.pop(upsert.route.function_id, None)
        self._deploy(upsert.route)

    def apply_remove(self, remove: routing.Remove) -> None:
        """Remove a function."""
        self._remove(remove.function_id)

    def apply_hosts(self, changed: routing.Hosts) -> None:
        """Replace the host names of a function, and of its deployment that is still starting."""
        self._hosts[changed.function_id] = changed.hosts
        self._table.rename(changed.function_id, changed.hosts)

    def apply_credentials(self, changed: routing.CredentialsChanged) -> None:
        """Update the accepted credentials."""
        if changed.public_key is not None:
            self._access.trust(changed.public_key)
        if changed.keys is not None:
            self._access.replace_keys(changed.keys)
        self._access.change_tokens(changed.issued, changed.revoked)

    def apply_clock(self, changed: routing.ClockChanged) -> None:
        """Set the clock, and stop instances whose idle time has passed by it."""
        self._clock.set(changed.clock)
        self._engine.sweep()

    def _deploy(self, route: Route) -> None:
        if self._engine.pending_route(route.function_id) != route:
            self._engine.deploy(route, self._settled)

    def _settled(self, outcome: Outcome) -> None:
        route = outcome.route
        if outcome.failure is None:
            self._put(route)
            if (hosts := self._hosts.get(route.function_id)) is not None:
                self._table.rename(route.function_id, hosts)
            self._link.report(routing.Started(function_id=route.function_id, generation=route.generation))
            return
        self._link.report(
            routing.Failed(function_id=route.function_id, generation=route.generation, message=outcome.failure)
        )

    def _put(self, route: Route) -> None:
        if route.http_option == "redirected" and not self._settings.tls_port:
            _log.warning("%s redirects HTTP to HTTPS, but TLS is off: plain HTTP requests are served", route.name)
        self._table.put(route)

    def _remove(self, function_id: str) -> None:
        self._hosts.pop(function_id, None)
        self._table.remove(function_id)
        self._engine.remove(function_id)

    def _exited(self, route: Route, reason: str) -> None:
        self._link.report(routing.Exited(function_id=route.function_id, generation=route.generation, reason=reason))

    async def _rise(self, version: int) -> None:
        """Report ``DataPlaneHealthy`` once every function has its ``min_scale`` instances."""
        while not self._engine.minimum_is_up:  # noqa: ASYNC110  (some pools make it true together)
            await asyncio.sleep(_LOOK_SECONDS)
        self._gateway.is_healthy = True
        self._link.report(routing.Healthy(version=version))


def _exporter(settings: OtlpSettings, gateway: Gateway) -> SpanExporter:
    """Start the export of traces. Its dependencies are imported only if it is enabled."""
    from fnkit import __version__
    from fnkit.platform.gateway.otlp import encode_spans
    from fnkit.platform.gateway.span_export import SpanExporter

    encode = partial(encode_spans, service=settings.service_name, version=__version__)
    exporter = SpanExporter(settings, encode)
    gateway.tracer = Tracer(exporter.put)
    gateway.meter.spans = lambda: exporter.counts
    return exporter


def _remove_abandoned(base: Path) -> None:
    """Remove the directories of data planes that were killed."""
    for folder in base.glob(f"{_FOLDER}*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdigit():
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
            except PermissionError:
                continue  # the pid now belongs to a process of another user


async def _serve(settings: ProcessSettings) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    base = Path(settings.gateway_socket).parent
    _remove_abandoned(base)
    prefix = f"{_FOLDER}{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir=base, prefix=prefix, ignore_cleanup_errors=True) as folder:
        level = await best_level(settings.isolation, Path(folder))
        open_aspects = ", ".join(aspect.value for aspect in left_open(level)) or "nothing"
        _log.info("isolation: %s; not enforced: %s", level.value, open_aspects)
        if settings.cpu_limits == "hard" and level is not Level.CGROUP:
            _log.warning("--cpu-limits=hard is not enforced: isolation %s has no control groups", level.value)
        await DataPlane(settings, level, Path(folder)).run(stop)


def main() -> int:
    """Run the process and return its exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
    except msgspec.MsgspecError:
        _log.error("cannot read the settings: standard input must hold them as JSON")
        return 2
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    try:
        run(_serve(settings))
    except (OSError, PlatformError) as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
