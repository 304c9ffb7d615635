"""``python -m fnkit.platform.registry_forwarder``: lets the container runtime of a node pull from the registry.

Container runtimes accept a registry without TLS if its host is ``localhost``. In a cluster, one forwarder runs on
each node: it listens on the loopback addresses of the node, and forwards each connection to the platform's Service.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final

from fnkit.platform.listening_sockets import ListenError, listen

_MAX_CONNECTIONS: Final = 256
_CONNECT_SECONDS: Final = 10.0
_PIECE_BYTES: Final = 64 * 1024
_KEEPALIVE_SECONDS: Final = 30  # after which the kernel asks a silent peer whether it is still there
_log = logging.getLogger(__name__)


class RegistryForwarder:
    """Forwards connections to one address, which is looked up for each of them.

    Args:
        host: Name or address of the target.
        port: Its port.
        max_connections: More connections at once are closed.
    """

    def __init__(self, host: str, port: int, *, max_connections: int = _MAX_CONNECTIONS) -> None:
        self._host = host
        self._port = port
        self._max_connections = max_connections
        self._connections = 0
        self._last_failure = ""

    async def serve(self, sockets: Sequence[socket.socket], stop: asyncio.Event) -> None:
        """Forward until ``stop`` is set. Connections that are open then are closed.

        Args:
            sockets: Listening sockets, which are closed at the end.
            stop: Set to stop.
        """
        servers = [await asyncio.start_server(self._accept, sock=one) for one in sockets]
        await stop.wait()
        for server in servers:
            server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= self._max_connections:
            _log.warning("closed a connection: %d are open, which is the limit", self._connections)
            writer.transport.abort()
            return
        self._connections += 1
        try:
            await self._forward(reader, writer)
        finally:
            self._connections -= 1
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                target_reader, target_writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:  # TimeoutError is one
            self._note_failure(str(error) or f"no answer within {_CONNECT_SECONDS:g} s")
            return
        self._note_failure("")
        try:
            for each in (writer, target_writer):
                _detect_lost_peer(each.get_extra_info("socket"))
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(reader, target_writer))
                pumps.create_task(_pump(target_reader, writer))
        except* OSError:
            pass  # one end is gone; the other one learns it now
        finally:
            target_writer.transport.abort()

    def _note_failure(self, reason: str) -> None:
        """Log a failure once, until a connection succeeds: runtimes try again and again."""
        if reason and reason != self._last_failure:
            _log.warning("the platform at %s port %d cannot be reached: %s", self._host, self._port, reason)
        elif not reason and self._last_failure:
            _log.warning("the platform at %s port %d can be reached again", self._host, self._port)
        self._last_failure = reason


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


def _detect_lost_peer(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)


def _parse_target(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


async def _run(port: int, target: tuple[str, int]) -> None:
    stop = asyncio.Event()
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # a container's first process has no default
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(one) for one in listen("127.0.0.1", port)]
        _log.info("forwarding localhost:%d to %s port %d", port, *target)
        await RegistryForwarder(*target).serve(sockets, stop)


def main(arguments: Sequence[str]) -> int:
    """Run a forwarder until SIGTERM. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fnkit.platform.registry_forwarder")
    parser.add_argument("--port", type=int, required=True, metavar="N", help="port of localhost")
    parser.add_argument(
        "--target", type=_parse_target, required=True, metavar="HOST:PORT", help="the platform's API"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(_run(options.port, options.target))
    except ListenError as error:
        _log.error("%s: choose another port with `fnkit platform manifests --registry-port`", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
