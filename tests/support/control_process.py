"""A real control process over a data folder of the test's own, and requests to it."""

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
from tests.support.platform import PlatformUnderTest
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE, wait_until

__all__ = [
    "API",
    "PROJECT",
    "SECRET_KEY",
    "Answer",
    "ControlProcess",
    "api_of",
    "archive",
    "control_settings",
    "running_control",
]

SECRET_KEY = "11111111-1111-1111-1111-111111111111"
PROJECT = "22222222-2222-2222-2222-222222222222"
API = "/functions/v1beta1/regions/fr-par"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body, which must be a JSON object."""
        document = json.loads(self.body)
        assert isinstance(document, dict), document
        return document

    @property
    def message(self) -> str:
        """The error's text."""
        return str(self.json["message"])

    def ok(self) -> dict[str, object]:
        """The body of a 200."""
        assert self.status == 200, (self.status, self.body)
        return self.json


def control_settings(home: Path, **changes: object) -> ProcessSettings:
    """Settings of a platform in ``home``, on ports of its own unless they are given."""
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
    """A control process that can be killed and started again over the same folder."""

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
        wait_until(self._answers)

    def kill(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
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
    ) -> Answer:
        """One request with the key; ``body`` is bytes, or becomes JSON."""
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.api_port, timeout=60)
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            connection.request(method, target, raw, {"X-Auth-Token": self.settings.secret_key, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def namespace(self, name: str = "shop", **fields: object) -> dict[str, object]:
        """Create a namespace and wait until it is ready."""
        body = {"name": name, "project_id": self.settings.project_id, **fields}
        created = self.request("POST", f"{API}/namespaces", body).ok()
        return self.settled("namespaces", created["id"])

    def function(self, namespace_id: object, name: object = "hello", **fields: object) -> dict[str, object]:
        """Create a function."""
        body = {"name": name, "namespace_id": namespace_id, "runtime": "python311", **fields}
        return self.request("POST", f"{API}/functions", body).ok()

    def upload(self, function_id: object, content: bytes) -> None:
        """Put an archive where ``upload-url`` says."""
        query = {"content_length": len(content)}
        url = self.request("GET", f"{API}/functions/{function_id}/upload-url", query=query).ok()["url"]
        split = urlsplit(str(url))
        answer = self.request("PUT", f"{split.path}?{split.query}", content, headers={"X-Auth-Token": ""})
        assert answer.status == 200, answer

    def deployed(self, function_id: object, content: bytes) -> dict[str, object]:
        """Upload, deploy and wait."""
        self.upload(function_id, content)
        self.request("POST", f"{API}/functions/{function_id}/deploy", {}).ok()
        return self.settled("functions", function_id)

    @property
    def log(self) -> str:
        """What the process wrote."""
        return Path(self.settings.data_dir, "control.log").read_text()

    def get(self, kind: str, record_id: object) -> dict[str, object]:
        """One object."""
        return self.request("GET", f"{API}/{kind}/{record_id}").ok()

    def settled(self, kind: str, record_id: object, seconds: float = DEADLINE) -> dict[str, object]:
        """One object once it is no longer pending."""
        wait_until(lambda: self.get(kind, record_id)["status"] not in ("pending", "creating"), seconds)
        return self.get(kind, record_id)

    def gone(self, kind: str, record_id: object) -> bool:
        """Whether the object answers 404."""
        return self.request("GET", f"{API}/{kind}/{record_id}").status == 404

    def wait_gone(self, kind: str, record_id: object) -> None:
        """Wait until the object answers 404."""
        wait_until(lambda: self.gone(kind, record_id))

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/healthz").status in (200, 503)
        except OSError:
            assert self.process is not None
            assert self.process.poll() is None, Path(self.settings.data_dir, "control.log").read_text()
            return False


def api_of(platform: PlatformUnderTest) -> ControlProcess:
    """Requests to a whole platform that the real command started."""
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
    """Start a control process in ``home``, and end it whatever happens."""
    control = ControlProcess(control_settings(home, **changes))
    control.start()
    try:
        yield control
    finally:
        if control.process is not None and control.process.poll() is None:
            control.process.kill()
            control.process.wait()


def archive(files: Mapping[str, str | bytes] | None = None) -> bytes:
    """A zip of these files; by default a handler that works."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as target:
        for name, text in (files or {"handler.py": "def handle(event, context):\n    return 'hello'\n"}).items():
            target.writestr(name, text)
    return content.getvalue()
