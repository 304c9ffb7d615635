"""A complete platform with TLS: ports, certificate authority, remote invocations and trust stores."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.certificate_authority import ensure_certificate_authority
from tests.support.command import FNKIT, Command
from tests.support.data_plane import interpreter_for
from tests.support.platform import PlatformUnderTest, api_get, running_platform
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

NOBODY_UID = 65534
PROGRAM = "import sys; from fnkit.cli import main; sys.exit(main())"

HANDLER = """
from fnkit import function


@function(http_option="redirected", domains=["www.shop.example"])
def redirected(event, context):
    return {"body": event["headers"]}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("https") / "home") as found:
        yield found


def status(fnkit: Command) -> dict[str, object]:
    return fnkit("platform", "status", "--json").ok().json()


@pytest.mark.long
def test_invoke_uses_https_for_function_that_redirects(platform: PlatformUnderTest, tmp_path: Path) -> None:
    (tmp_path / "fnkit.toml").write_text('name = "https"\n')
    (tmp_path / "main.py").write_text(HANDLER)
    fnkit = platform.command
    fnkit("deploy", "--local", "--yes", cwd=tmp_path).ok()
    response = fnkit("invoke", "redirected", "--remote", "--local", "--json", cwd=tmp_path).ok().json()
    assert response["status"] == 200
    assert json.loads(str(response["body"]))["X-Forwarded-Proto"] == "https"
    functions = api_get(platform, "functions")["functions"]
    assert isinstance(functions, list)
    for name in (functions[0]["domain_name"], "www.shop.example"):
        assert handshake(platform, name)


def handshake(platform: PlatformUnderTest, name: str) -> bool:
    """Return whether a client that trusts the CA completes a handshake for this name."""
    found = status(platform.command)
    context = ssl.create_default_context(cafile=str(found["ca_certificate"]))
    port = int(str(found["gateway_tls_url"]).rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
        context.wrap_socket(connection, server_hostname=name) as tls,
    ):
        return tls.version() is not None


def test_status_and_platform_info_include_tls_url_and_ca(platform: PlatformUnderTest) -> None:
    found = status(platform.command)
    assert str(found["gateway_tls_url"]).startswith("https://127.0.0.1:")
    assert found["ca_certificate"] == str(DataLayout(platform.home).ca_certificate_file)
    request = urllib.request.Request(
        f"{platform.api_url}/fnkit/v1/platform", headers={"X-Auth-Token": platform.secret_key}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        info = json.load(response)
    assert info["gateway_tls_url"] == found["gateway_tls_url"]
    assert info["ca_certificate"] == DataLayout(platform.home).ca_certificate_file.read_text()


def test_env_exports_ca_for_node_and_comments_out_the_others(platform: PlatformUnderTest) -> None:
    certificate = str(DataLayout(platform.home).ca_certificate_file)
    environment = platform.command.environment
    lines = Command({**environment, "NODE_EXTRA_CA_CERTS": ""})("platform", "env").ok().stdout.splitlines()
    overridden = Command({**environment, "NODE_EXTRA_CA_CERTS": "/own.pem"})("platform", "env").ok().stdout
    assert f"export FNKIT_CA_CERTIFICATE={certificate}" in lines
    assert f"# export REQUESTS_CA_BUNDLE={certificate}" in lines
    assert f"export NODE_EXTRA_CA_CERTS={certificate}" in lines
    assert "NODE_EXTRA_CA_CERTS" not in overridden
    assert "#" not in platform.command("platform", "env", "--format", "github").ok().stdout


def test_trust_shows_certificate_and_commands(platform: PlatformUnderTest) -> None:
    file = DataLayout(platform.home).ca_certificate_file
    fnkit = platform.command
    found = fnkit("platform", "trust", "--json").ok().json()
    assert (found["certificate"], found["pem"]) == (str(file), file.read_text())
    assert fnkit("platform", "trust", "--print-certificate").ok().stdout == file.read_text()
    text = fnkit("platform", "trust").ok().stdout
    assert f"curl --cacert {file}" in text
    assert "PRIVATE KEY" not in json.dumps(found) + text
    assert fnkit("platform", "trust", "--install", "--remove").code == 2


def test_trust_without_certificate_authority_is_an_error(tmp_path: Path) -> None:
    result = Command({"FNKIT_HOME": str(tmp_path / "none")})("platform", "trust", "--json")
    assert (result.code, result.json()["error"]["code"]) == (1, "no-authority")


def test_trust_install_without_root_hints_the_sudo_command() -> None:
    user = NOBODY_UID if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # other users cannot read pytest's directories
        ensure_certificate_authority(DataLayout(Path(folder)))
        for entry in (Path(folder), *Path(folder).rglob("*")):
            os.chown(entry, user, -1)
        install = ("platform", "trust", "--install", "--json", "--data-dir", folder)
        result = subprocess.run(
            [interpreter_for(user), "-c", PROGRAM, *install],
            capture_output=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": folder},
            cwd="/",
            user=user if os.geteuid() == 0 else None,
            check=False,
        )
        error = json.loads(result.stdout)["error"]
        assert result.returncode == 1
        assert error["code"] in ("needs-root", "no-trust-store")
        assert f"{folder}/tls/authority.crt" in error["hint"]
        assert "sudo" in error["hint"] or error["code"] == "no-trust-store"


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, like the command")
@pytest.mark.skipif(shutil.which("update-ca-certificates") is None, reason="needs Debian's trust store")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a separate mount namespace")
def test_trust_install_and_remove_change_the_system_trust_store(
    platform: PlatformUnderTest, tmp_path: Path
) -> None:
    """Runs in a mount namespace with a copy of the trust store, so that the machine's own store is unchanged."""
    found = status(platform.command)
    url = f"{found['gateway_tls_url']}/favicon.ico"
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    fnkit = f"{FNKIT} platform trust --data-dir {platform.home}"
    script = f"""
        set -e
        cp -a /etc/ssl/certs {tmp_path}/certs && mount --bind {tmp_path}/certs /etc/ssl/certs
        cp -a /usr/local/share/ca-certificates {tmp_path}/own
        mount --bind {tmp_path}/own /usr/local/share/ca-certificates
        call() {{ curl -s -o /dev/null --cacert {bundle} -w '%{{http_code}} ' {url} || true; }}
        call; {fnkit} --install -q >&2; call; {fnkit} --json | grep -c '"trusted": true'
        {fnkit} --remove -q >&2; call
    """
    result = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["000", "404", "1", "000"]


@pytest.mark.long
def test_tls_port_and_ca_survive_reset_and_restart(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path / "home")
    # A port that no other platform chooses, as those of other tests would between stop and start.
    with running_platform(layout.data_dir, "--tls-port", str(free_port())) as first:
        before, authority = status(first.command)["gateway_tls_url"], layout.ca_file.read_bytes()
        assert stat.S_IMODE(layout.ca_file.stat().st_mode) == 0o600
        first.command("platform", "reset", "--yes").ok()
        assert layout.ca_file.read_bytes() == authority
        again = first.command("platform", "start", "--detach", "--json").ok().json()
        assert again["gateway_tls_url"] == before
        differs = first.command("platform", "start", "--detach", "--json", "--tls-port", "none")
        assert (differs.code, differs.json()["error"]["code"]) == (1, "platform-differs")
        first.command("platform", "stop").ok()
        without = first.command("platform", "start", "--detach", "--json", "--tls-port", "none").ok().json()
        assert (without["gateway_tls_url"], without["ca_certificate"]) == ("", "")


@pytest.mark.parametrize("port", ["70000", "-1", "x", ""])
def test_invalid_tls_port_is_rejected(tmp_path: Path, port: str) -> None:
    result = Command({"FNKIT_HOME": str(tmp_path)})("platform", "start", "--detach", f"--tls-port={port}")
    assert result.code == 2
    assert "is not a port" in result.stderr
