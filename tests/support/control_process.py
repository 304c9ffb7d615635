"""A real control process with its own data directory, and requests to its API."""

from __future__ import annotations

import http.client
import io
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec

from fnkit.platform.model.settings import ProcessSettings
from fnkit.platform.supervisor.health import reachable_host
from tests.support.http_response import HttpResponse
from tests.support.platform import PlatformUnderTest
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE, wait_until

__all__ = [
    "API",
    "PROJECT",
    "SECRET_KEY",
    "ControlProcess",
    "api_client",
    "control_settings",
    "running_control",
    "zip_archive",
]

SECRET_KEY = "11111111-1111-1111-1111-111111111111"
PROJECT = "22222222-2222-2222-2222-222222222222"
API = "/functions/v1beta1/regions/fr-par"


def control_settings(home: Path, **changes: object) -> ProcessSettings:
    """Return the settings of a platform in ``home``, on free ports unless they are given."""
    for port in ("api_port", "gateway_port"):
        changes[port] = changes[port] if port in changes else free_port()
    settings = ProcessSettings(
        data_dir=str(home),
        host="127.0.0.1",
        api_port=0,
        gateway_port=0,
        control_socket=str(home / "control.sock"),
        gateway_socket=str(home / "gateway.sock"),
        delivery_socket=str(home / "delivery.sock"),
        secret_key=SECRET_KEY,
        access_key="SCWXXXXXXXXXXXXXXXXX",
        project_id=PROJECT,
        organization_id=PROJECT,
        domain_suffix="localhost",
        speed=1.0,
        isolation="auto",
    )
    return msgspec.structs.replace(settings, **changes)


@dataclass(slots=True)
class ControlProcess:
    """A control process that can be killed and restarted with the same data directory."""

    settings: ProcessSettings
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        with Path(self.settings.data_dir, "control.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fnkit.platform.control.process"], stdin=subprocess.PIPE, stderr=log
            )
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(self.settings))
        self.process.stdin.close()
        wait_until(self._is_serving)

    def kill(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> HttpResponse:
        """Send a request with the secret key; a ``body`` that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(
            reachable_host(self.settings.host), self.settings.api_port, timeout=60
        )
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            connection.request(method, target, raw, {"X-Auth-Token": self.settings.secret_key, **(headers or {})})
            answer = connection.getresponse()
            return HttpResponse(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def create_namespace(self, name: str = "shop", **fields: object) -> dict[str, object]:
        """Create a namespace and wait until it is ready."""
        body = {"name": name, "project_id": self.settings.project_id, **fields}
        created = self.request("POST", f"{API}/namespaces", body).ok()
        return self.wait_until_settled("namespaces", created["id"])

    def create_function(self, namespace_id: object, name: object = "hello", **fields: object) -> dict[str, object]:
        """Create a function."""
        body = {"name": name, "namespace_id": namespace_id, "runtime": "python311", **fields}
        return self.request("POST", f"{API}/functions", body).ok()

    def upload(self, function_id: object, content: bytes) -> None:
        """Upload an archive to the URL that ``upload-url`` returns."""
        query = {"content_length": len(content)}
        url = self.request("GET", f"{API}/functions/{function_id}/upload-url", query=query).ok()["url"]
        split = urlsplit(str(url))
        answer = self.request("PUT", f"{split.path}?{split.query}", content, headers={"X-Auth-Token": ""})
        assert answer.status == 200, answer

    def deploy(self, function_id: object, content: bytes, seconds: float = DEADLINE) -> dict[str, object]:
        """Upload and deploy an archive, wait until the status is final, and return the function."""
        self.upload(function_id, content)
        self.request("POST", f"{API}/functions/{function_id}/deploy", {}).ok()
        return self.wait_until_settled("functions", function_id, seconds)

    @property
    def log(self) -> str:
        """The stderr of the process."""
        return Path(self.settings.data_dir, "control.log").read_text()

    def get(self, kind: str, record_id: object) -> dict[str, object]:
        """Return a resource."""
        return self.request("GET", f"{API}/{kind}/{record_id}").ok()

    def current_status(self, kind: str, record_id: object) -> object:
        """Return the status of a resource now: unlike a GET of one resource, a list never waits for a final one."""
        page = self.request("GET", f"{API}/{kind}", query={"page_size": 100, "order_by": "created_at_desc"}).ok()
        listed = page[kind]
        assert isinstance(listed, list)
        return next(one["status"] for one in listed if one["id"] == record_id)

    def wait_until_settled(self, kind: str, record_id: object, seconds: float = DEADLINE) -> dict[str, object]:
        """Wait until a resource is neither pending nor creating, and return it."""
        wait_until(lambda: self.get(kind, record_id)["status"] not in ("pending", "creating"), seconds)
        return self.get(kind, record_id)

    def is_deleted(self, kind: str, record_id: object) -> bool:
        """Return whether a GET of the resource returns 404."""
        return self.request("GET", f"{API}/{kind}/{record_id}").status == 404

    def wait_until_deleted(self, kind: str, record_id: object) -> None:
        """Wait until a GET of the resource returns 404."""
        wait_until(lambda: self.is_deleted(kind, record_id))

    def _is_serving(self) -> bool:
        try:
            return self.request("GET", "/healthz").status in (200, 503)
        except OSError:
            assert self.process is not None
            assert self.process.poll() is None, Path(self.settings.data_dir, "control.log").read_text()
            return False


def api_client(platform: PlatformUnderTest) -> ControlProcess:
    """Return a client for the API of a platform that the real command started."""
    settings = control_settings(
        platform.home,
        api_port=urlsplit(platform.api_url).port,
        gateway_port=urlsplit(platform.gateway_url).port,
        secret_key=platform.secret_key,
        project_id=platform.project_id,
    )
    return ControlProcess(settings)


@contextmanager
def running_control(home: Path, **changes: object) -> Iterator[ControlProcess]:
    """Run a control process in ``home``."""
    control = ControlProcess(control_settings(home, **changes))
    control.start()
    try:
        yield control
    finally:
        if control.process is not None and control.process.poll() is None:
            control.process.kill()
            control.process.wait()


def zip_archive(files: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return a zip archive of these files, by default of a handler that returns ``hello``."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as target:
        for name, text in (files or {"handler.py": "def handle(event, context):\n    return 'hello'\n"}).items():
            target.writestr(name, text)
    return content.getvalue()
