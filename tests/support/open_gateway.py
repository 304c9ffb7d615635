"""A gateway in the process of the test, with a route to a function that is not deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fnkit.platform.data_plane.gateway.auth import Authorizer
from fnkit.platform.data_plane.gateway.gateway import Gateway
from fnkit.platform.data_plane.gateway.listeners import open_listeners
from fnkit.platform.data_plane.gateway.router import Router
from fnkit.platform.data_plane.local.engine import LocalEngine
from fnkit.platform.data_plane.local.source import LocalEngineSettings
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.listening_sockets import listen
from fnkit.platform.model.clock import SyncedClock
from tests.support.ports import free_port
from tests.support.routes import make_route


def create_gateway(folder: Path) -> tuple[LocalEngine, Gateway]:
    """Return an engine without isolation, and a gateway that routes ``f.test`` to it."""
    settings = LocalEngineSettings(
        level=Level.NONE,
        runtime_directory=folder,
        logs_directory=folder / "logs",
        code_directory=folder,
        prewarmed=0,
    )
    engine = LocalEngine(settings, SyncedClock(), lambda _route, _reason: None)
    router = Router()
    router.put(make_route())
    gateway = Gateway(engine, router, Authorizer("key"))
    gateway.has_snapshot = True
    return engine, gateway


@asynccontextmanager
async def open_gateway(folder: Path) -> AsyncIterator[tuple[Gateway, int]]:
    """Serve ``f.test`` on a port."""
    engine, gateway = create_gateway(folder)
    port = free_port()
    public = listen("127.0.0.1", port)
    listeners = await open_listeners(gateway, public, folder / "private.sock", folder / "delivery.sock")
    try:
        yield gateway, port
    finally:
        for listener in listeners:
            listener.close()
        gateway.close()
        engine.close()
