"""scw-serverless, the tool whose users fnkit addresses: two deploys, and calls."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import subprocess
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.clients.packages import client_environment, scw_serverless
from tests.support.platform import PlatformUnderTest, api_get

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2] / "projects" / "scw_serverless" / "app.py"
RUNTIME = "python311"  # the newest that its SDK supports, the oldest that the API still accepts


def run_deploy(platform: PlatformUnderTest, folder: Path, source: str, runtime: str = RUNTIME) -> str:
    """Run ``scw-serverless deploy`` and return its output. It exits with 0 even when it fails."""
    (folder / "app.py").write_text(source)
    process = subprocess.run(
        [str(scw_serverless() / "scw-serverless"), "deploy", "--runtime", runtime, "app.py"],
        cwd=folder,
        env=client_environment(platform),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def deploy(platform: PlatformUnderTest, folder: Path, source: str) -> str:
    output = run_deploy(platform, folder, source)
    assert "Could not deploy" not in output, output
    return output


def deployed(platform: PlatformUnderTest, namespace: str) -> dict[str, Any]:
    found: Any = api_get(platform, f"namespaces?name={namespace}")
    (one,) = found["namespaces"]
    listed: Any = api_get(platform, f"functions?namespace_id={one['id']}")
    return {function["name"]: function for function in listed["functions"]}


def crons(platform: PlatformUnderTest, function: dict[str, Any]) -> list[dict[str, Any]]:
    listed: Any = api_get(platform, f"crons?function_id={function['id']}")
    return [cron for cron in listed["crons"] if cron["status"] != "deleting"]


def call_over_tls(platform: PlatformUnderTest, domain: str, path: str = "/") -> tuple[int, str]:
    """Return status and body of a function's response.

    This client sets ``http_option: redirected``, so plain HTTP is a 301.
    """
    status = platform.command("platform", "status", "--json").ok().json()
    gateway = urlsplit(str(status["gateway_tls_url"]))
    context = ssl.create_default_context(cafile=platform.home / "tls" / "authority.crt")
    connection = http.client.HTTPSConnection(domain, context=context)
    peer = socket.create_connection((gateway.hostname, gateway.port), timeout=60)
    connection.sock = context.wrap_socket(peer, server_hostname=domain)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_second_deploy_updates_functions_and_crons_in_place(platform: PlatformUnderTest, tmp_path: Path) -> None:
    namespace = f"scwsls-{uuid.uuid4().hex[:8]}"
    source = PROJECT.read_text().replace("NAMESPACE", namespace)
    output = deploy(platform, tmp_path, source)
    first = deployed(platform, namespace)

    assert sorted(first) == ["clean-up", "hello-world"]
    assert "Function hello-world deployed to: https://" in output
    assert {function["status"] for function in first.values()} == {"ready"}
    hello = first["hello-world"]
    assert (hello["memory_limit"], hello["timeout"], hello["description"]) == (256, "30s", "Says hello.")
    assert call_over_tls(platform, hello["domain_name"], "/path") == (200, "hello s3cret everywhere hidden /path")
    assert call_over_tls(platform, first["clean-up"]["domain_name"])[0] == 403
    (cron,) = crons(platform, first["clean-up"])
    assert (cron["schedule"], cron["args"]) == ("*/5 * * * *", {"table": "orders"})

    deploy(platform, tmp_path, source.replace('"hello"', '"changed"').replace("*/5 *", "*/7 *"))
    second = deployed(platform, namespace)

    assert second["hello-world"]["id"] == hello["id"]
    assert call_over_tls(platform, hello["domain_name"]) == (200, "changed s3cret everywhere hidden /")
    (cron,) = crons(platform, second["clean-up"])
    assert cron["schedule"] == "*/7 * * * *"


def test_deploy_deletes_a_function_removed_from_the_code(platform: PlatformUnderTest, tmp_path: Path) -> None:
    namespace = f"scwsls-{uuid.uuid4().hex[:8]}"
    source = PROJECT.read_text().replace("NAMESPACE", namespace)
    deploy(platform, tmp_path, source)
    assert len(deployed(platform, namespace)) == 2

    deploy(platform, tmp_path, source.partition("@app.schedule")[0])
    left = [name for name, one in deployed(platform, namespace).items() if one["status"] != "deleting"]
    assert left == ["hello-world"]


def test_deploy_to_ended_runtime_shows_the_message_of_the_api(platform: PlatformUnderTest, tmp_path: Path) -> None:
    source = PROJECT.read_text().replace("NAMESPACE", f"scwsls-{uuid.uuid4().hex[:8]}")
    output = run_deploy(platform, tmp_path, source, "python310")

    assert "CRITICAL: Could not deploy the application" in output
    assert "runtime reached end of support, could not create new functions" in output
