"""Clients that call functions continuously over keep-alive connections."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence

from tests.soak.oracle import NO_RESPONSE, FunctionHistory, ObservedResponse, Oracle

__all__ = ["LoadClient"]

_TIMEOUT = 60.0


class LoadClient(threading.Thread):
    """Calls random functions until it is stopped."""

    def __init__(
        self,
        address: tuple[str, int],
        oracle: Oracle,
        functions: Callable[[], Sequence[FunctionHistory]],
        seed: int,
    ) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._oracle = oracle
        self._functions = functions
        self._random = random.Random(seed)  # noqa: S311  (to be repeated, not to be secret)
        self._stopping = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._count = 0

    def stop(self) -> None:
        """Finish the current request and exit."""
        self._stopping.set()
        self.join(_TIMEOUT * 2)

    def run(self) -> None:
        """Call functions."""
        while not self._stopping.is_set():
            functions = self._functions()
            if not functions:
                time.sleep(0.01)
                continue
            observed = self._call(self._random.choice(functions))
            self._oracle.check(observed)
            if observed.status == NO_RESPONSE:
                time.sleep(0.05)  # the gateway may be down
        self._disconnect()

    def _call(self, function: FunctionHistory) -> ObservedResponse:
        self._count += 1
        nonce = f"{self.ident}-{self._count}"
        valid = [interval for interval in list(function.tokens) if interval.end is None]
        token = self._random.choice(valid) if valid and self._random.random() < 0.8 else None
        headers = {"Host": function.host, **({"X-Auth-Token": str(token.value)} if token else {})}
        pause = self._random.choice((0, 0, 0, 1, 5, 20))
        body = b"x" * self._random.choice((0, 10, 10_000))
        began = time.monotonic()
        status, document, detail = self._send(f"/?nonce={nonce}&pause={pause}", headers, body)
        return ObservedResponse(function, began, time.monotonic(), status, nonce, token, document, detail)

    def _send(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, object] | None, str]:
        try:
            connection = self._connect()
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            return NO_RESPONSE, None, f"{type(error).__name__}: {error}"
        try:
            document = json.loads(content)
        except ValueError:
            return response.status, None, repr(content[:200])
        return response.status, document if isinstance(document, dict) else None, ""

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None or self._random.random() < 0.01:
            self._disconnect()
            connection = http.client.HTTPConnection(*self._address, timeout=_TIMEOUT)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
