"""The request log names operations as the API document and Scaleway's Audit Trail do, and contains no secret."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from fnkit.platform.control.api.app import RequestLog, create_application
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.model.request_log import LoggedRequest
from fnkit.platform.rotating_log import RotatingLogFile
from tests.support.command import Command
from tests.support.control_process import (
    API,
    SECRET_KEY,
    ControlProcess,
    control_settings,
    running_control,
    zip_archive,
)
from tests.support.golden import Golden
from tests.support.waiting import wait_until

REQUESTS = 17
"""The requests of the fixture, from the first ``CreateNamespace`` on."""
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def send_requests(control: ControlProcess) -> list[str]:
    """Send ``REQUESTS`` requests and return the secrets in them."""
    body = {"name": "shop", "project_id": control.settings.project_id}
    namespace = control.request("POST", f"{API}/namespaces", body).ok()
    function = control.create_function(
        namespace["id"], secret_environment_variables=[{"key": "K", "value": "s3cret"}]
    )
    control.upload(function["id"], zip_archive())
    control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    cron = control.request("POST", f"{API}/crons", {"function_id": function["id"], "schedule": "0 0 * * *"}).ok()
    control.request("GET", f"{API}/crons", query={"function_id": function["id"]}).ok()
    control.request("GET", f"{API}/runtimes").ok()
    control.request("GET", f"{API}/functions/{UNKNOWN_ID}")
    key = control.request("POST", "/fnkit/v1/keys", {"read_only": True}).ok()
    read_only = {"X-Auth-Token": str(key["secret_key"])}
    control.request("DELETE", f"{API}/functions/{function['id']}", headers=read_only)
    control.request("DELETE", f"{API}/functions/{function['id']}", headers={"X-Auth-Token": "wrong-key"})
    control.request("GET", f"/fnkit/v1/regions/fr-par/crons/{cron['id']}/deliveries").ok()
    control.request("GET", "/loki/api/v1/labels", headers=read_only)
    control.request("GET", "/openapi.json").ok()
    control.request("GET", "/metadata").ok()
    control.request("DELETE", f"{API}/namespaces/{namespace['id']}").ok()
    return [SECRET_KEY, str(key["secret_key"]), "wrong-key", "s3cret", "signature"]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """The data directory of a control process that served requests, and the secrets in these."""
    folder = tmp_path_factory.mktemp("c")
    with running_control(folder) as control:
        secrets = send_requests(control)
        file = folder / "logs" / "platform" / "api.log"
        wait_until(lambda: file.exists() and "DeleteNamespace" in file.read_text())
        yield folder, secrets


@pytest.fixture
def show_logs(logged: tuple[Path, list[str]]) -> Command:
    return Command({"FNKIT_HOME": str(logged[0])})


def normalised(output: str) -> str:
    """Return the lines of the fixture's requests with numbers for ids and without times."""
    lines = "\n".join(line for line in output.splitlines()[-REQUESTS:])
    lines = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", lines)
    lines = re.sub(r"[\d.]+ ms$", "<duration>", lines, flags=re.MULTILINE)
    lines = re.sub(r'"duration_ms": [\d.]+', '"duration_ms": "<duration>"', lines)
    names: dict[str, str] = {}
    ids = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|SCW[A-Z0-9]{17}"
    return re.sub(ids, lambda match: names.setdefault(match[0], f"<id {len(names) + 1}>"), lines) + "\n"


@pytest.mark.parametrize("output", ["text", "json"])
def test_requests_are_shown_with_operation_resource_key_and_status(
    show_logs: Command, golden: Golden, output: str
) -> None:
    options = ("--json",) if output == "json" else ()
    shown = show_logs("platform", "logs", "--process", "api", *options).ok().stdout

    golden.check(f"cli/request-log.{output}.txt", normalised(shown))


def test_log_contains_no_secret_and_is_private(logged: tuple[Path, list[str]]) -> None:
    folder, secrets = logged
    file = folder / "logs" / "platform" / "api.log"

    assert [secret for secret in secrets if secret in file.read_text()] == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_graceful_stop_writes_the_last_requests(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        control.request("GET", f"{API}/functions/{UNKNOWN_ID}")
        assert control.stop() == 0

    last = json.loads((tmp_path / "logs" / "platform" / "api.log").read_text().splitlines()[-1])
    assert (last["operation"], last["id"], last["status"]) == ("GetFunction", UNKNOWN_ID, 404)


def test_every_route_has_a_plain_name(tmp_path: Path) -> None:
    async def names() -> list[str]:
        app = create_application(ControlPlane(control_settings(tmp_path)))
        return [route.name for route in app.routes if isinstance(route, Route)]

    assert [name for name in asyncio.run(names()) if not re.fullmatch(r"([A-Z][a-z]*)+", name)] == []


def request(number: int) -> LoggedRequest:
    return LoggedRequest(
        at="t", operation="GetCron", resource="cron", id=str(number), access_key=None, status=200, duration_ms=1.0
    )


def test_full_file_becomes_the_older_file(tmp_path: Path) -> None:
    async def work() -> None:
        log = RequestLog(RotatingLogFile(tmp_path / "logs" / "api.log", max_bytes=300))
        for number in range(5):
            log.write(request(number))
            log.flush()

    asyncio.run(work())
    kept = [(tmp_path / "logs" / name).read_text().splitlines() for name in ("api.log.1", "api.log")]
    assert [[json.loads(line)["id"] for line in lines] for lines in kept] == [["2", "3"], ["4"]]


def test_log_that_cannot_be_written_fails_no_request(tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / "file").touch()
        log = RequestLog(RotatingLogFile(tmp_path / "file" / "api.log"))
        log.write(request(1))
        log.flush()

    asyncio.run(work())
