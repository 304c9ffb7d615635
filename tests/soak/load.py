"""Clients with keep-alive connections that call functions as fast as they are answered."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence

from tests.soak.oracle import NO_ANSWER, Function, Observed, Oracle

__all__ = ["Client"]

_PATIENCE = 60.0


class Client(threading.Thread):
    """Calls one function after the other until told to stop."""

    def __init__(
        self,
        address: tuple[str, int],
        oracle: Oracle,
        functions: Callable[[], Sequence[Function]],
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
        """Finish the request in hand and end."""
        self._stopping.set()
        self.join(_PATIENCE * 2)

    def run(self) -> None:
        """See the class."""
        while not self._stopping.is_set():
            functions = self._functions()
            if not functions:
                time.sleep(0.01)
                continue
            observed = self._call(self._random.choice(functions))
            self._oracle.judge(observed)
            if observed.status == NO_ANSWER:
                time.sleep(0.05)  # a door that is closed is not to be hammered
        self._hang_up()

    def _call(self, function: Function) -> Observed:
        self._count += 1
        nonce = f"{self.ident}-{self._count}"
        valid = [span for span in list(function.tokens) if span.until is None]
        token = self._random.choice(valid) if valid and self._random.random() < 0.8 else None
        headers = {"Host": function.host, **({"X-Auth-Token": str(token.value)} if token else {})}
        pause = self._random.choice((0, 0, 0, 1, 5, 20))
        body = b"x" * self._random.choice((0, 10, 10_000))
        began = time.monotonic()
        status, document, detail = self._send(f"/?nonce={nonce}&pause={pause}", headers, body)
        return Observed(function, began, time.monotonic(), status, nonce, token, document, detail)

    def _send(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, object] | None, str]:
        try:
            connection = self._connected()
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            return NO_ANSWER, None, f"{type(error).__name__}: {error}"
        try:
            document = json.loads(content)
        except ValueError:
            return response.status, None, repr(content[:200])
        return response.status, document if isinstance(document, dict) else None, ""

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None or self._random.random() < 0.01:
            self._hang_up()
            connection = http.client.HTTPConnection(*self._address, timeout=_PATIENCE)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
