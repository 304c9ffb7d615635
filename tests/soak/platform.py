"""The platform under test: start, API requests, health, restart and stop."""

from __future__ import annotations

import http.client
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.processes import is_alive
from tests.support.waiting import wait_until

__all__ = ["ApiResponse", "SoakPlatform", "start"]

API = "/functions/v1beta1/regions/fr-par"
_COMMAND = ["-c", "import sys; from fnkit.cli import main; sys.exit(main())"]


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response of the API."""

    status: int
    document: dict[str, Any]


class SoakPlatform:
    """A running platform. Requests raise ``OSError`` or ``http.client.HTTPException`` while control is down."""

    def __init__(self, home: Path, options: tuple[str, ...]) -> None:
        self.home = home
        self._options = options
        self._start("--api-port", "0", "--gateway-port", "0")

    def restart(self) -> None:
        """Start it again, on the same ports."""
        self._start()

    def _start(self, *ports: str) -> None:
        found = json.loads(_run(self.home, "platform", "start", "--detach", "--json", *ports, *self._options))
        self.pid = int(found["pid"])
        self.secret_key = str(found["secret_key"])
        self.project_id = str(found["project_id"])
        self.isolation = str(found["isolation"])
        self.gateway = _address(str(found["gateway_url"]))
        self._api = _address(str(found["api_url"]))

    def request(self, method: str, path: str, body: object = None) -> ApiResponse:
        """Send a request to the API."""
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path if path.startswith(("/fnkit", "/healthz")) else API + path, data)

    def _send(self, method: str, path: str, data: bytes | None) -> ApiResponse:
        connection = http.client.HTTPConnection(*self._api, timeout=60)
        try:
            headers = {"X-Auth-Token": self.secret_key, "Content-Type": "application/json"}
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        document = json.loads(content) if content[:1] == b"{" else {}
        return ApiResponse(response.status, document)

    def upload(self, function_id: str, source: str) -> None:
        """Upload an archive with one module."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("handler.py", source)
        content = file.getvalue()
        response = self.request("GET", f"/functions/{function_id}/upload-url?content_length={len(content)}")
        target = urlsplit(str(response.document["url"]))
        self._send("PUT", f"{target.path}?{target.query}", content)

    def processes(self) -> dict[str, int]:
        """Return the pids of control and the data plane; 0 for a process that is not running."""
        run = json.loads((self.home / "run.json").read_text())
        return {"control": int(run["control"]), "data plane": int(run["data_plane"])}

    @property
    def socket_directory(self) -> Path:
        """The directory of its private sockets."""
        return Path(json.loads((self.home / "run.json").read_text())["socket_folder"])

    def is_healthy(self) -> bool:
        """Return whether control and the data plane are running and connected."""
        try:
            return self._send("GET", "/healthz", None).status == 200 and all(
                map(is_alive, self.processes().values())
            )
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def wait_until_healthy(self, seconds: float = 60.0) -> None:
        """Wait until the platform is healthy."""
        wait_until(self.is_healthy, seconds, what="a healthy platform")

    def stop(self) -> None:
        """Stop it gracefully."""
        _run(self.home, "platform", "stop")


def _address(url: str) -> tuple[str, int]:
    split = urlsplit(url)
    return "127.0.0.1", split.port or 80


def _run(home: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home.parent), "FNKIT_HOME": str(home)}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    command = [sys.executable, *_COMMAND, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{arguments} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def start(home: Path, *options: str) -> SoakPlatform:
    """Start a platform on free ports."""
    return SoakPlatform(home, options)
