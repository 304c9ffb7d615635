"""A whole platform with TLS: its ports, its authority, the kit's calls, and what trusts it."""

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

pytestmark = pytest.mark.slow

NOBODY = 65534
ENTRY = "import sys; from fnkit.cli import main; sys.exit(main())"

HANDLER = """
from fnkit import function


@function(http_option="redirected", domains=["www.shop.example"])
def strict(event, context):
    return {"body": event["headers"]}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("https") / "home") as found:
        yield found


def status(fnkit: Command) -> dict[str, object]:
    return fnkit("platform", "status", "--json").ok().json()


def test_the_kit_calls_a_function_that_redirects_and_needs_nothing_for_it(
    platform: PlatformUnderTest, tmp_path: Path
) -> None:
    (tmp_path / "fnkit.toml").write_text('name = "https"\n')
    (tmp_path / "main.py").write_text(HANDLER)
    fnkit = platform.command
    fnkit("deploy", "--local", "--yes", cwd=tmp_path).ok()
    answer = fnkit("invoke", "strict", "--remote", "--local", "--json", cwd=tmp_path).ok().json()
    assert answer["status"] == 200
    assert json.loads(str(answer["body"]))["X-Forwarded-Proto"] == "https"
    functions = api_get(platform, "functions")["functions"]
    assert isinstance(functions, list)
    for name in (functions[0]["domain_name"], "www.shop.example"):
        assert handshake(platform, name)


def handshake(platform: PlatformUnderTest, name: str) -> bool:
    """Whether a client that trusts the authority takes the certificate for this name."""
    found = status(platform.command)
    context = ssl.create_default_context(cafile=str(found["ca_certificate"]))
    port = int(str(found["gateway_tls_url"]).rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as peer,
        context.wrap_socket(peer, server_hostname=name) as inner,
    ):
        return inner.version() is not None


def test_every_description_names_the_tls_door_and_its_authority(platform: PlatformUnderTest) -> None:
    found = status(platform.command)
    assert str(found["gateway_tls_url"]).startswith("https://127.0.0.1:")
    assert found["ca_certificate"] == str(DataLayout(platform.home).ca_certificate_file)
    request = urllib.request.Request(
        f"{platform.api_url}/fnkit/v1/platform", headers={"X-Auth-Token": platform.secret_key}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        info = json.load(answer)
    assert info["gateway_tls_url"] == found["gateway_tls_url"]
    assert info["ca_certificate"] == DataLayout(platform.home).ca_certificate_file.read_text()


def test_env_gives_node_its_variable_and_hints_the_others(platform: PlatformUnderTest) -> None:
    certificate = str(DataLayout(platform.home).ca_certificate_file)
    environment = platform.command.environment
    lines = Command({**environment, "NODE_EXTRA_CA_CERTS": ""})("platform", "env").ok().stdout.splitlines()
    own = Command({**environment, "NODE_EXTRA_CA_CERTS": "/own.pem"})("platform", "env").ok().stdout
    assert f"export FNKIT_CA_CERTIFICATE={certificate}" in lines
    assert f"# export REQUESTS_CA_BUNDLE={certificate}" in lines
    assert f"export NODE_EXTRA_CA_CERTS={certificate}" in lines
    assert "NODE_EXTRA_CA_CERTS" not in own
    assert "#" not in platform.command("platform", "env", "--format", "github").ok().stdout


def test_trust_shows_the_certificate_and_the_commands(platform: PlatformUnderTest) -> None:
    file = DataLayout(platform.home).ca_certificate_file
    fnkit = platform.command
    found = fnkit("platform", "trust", "--json").ok().json()
    assert (found["certificate"], found["pem"]) == (str(file), file.read_text())
    assert fnkit("platform", "trust", "--print-certificate").ok().stdout == file.read_text()
    text = fnkit("platform", "trust").ok().stdout
    assert f"curl --cacert {file}" in text
    assert "PRIVATE KEY" not in json.dumps(found) + text
    assert fnkit("platform", "trust", "--install", "--remove").code == 2


def test_trust_says_that_there_is_no_authority_yet(tmp_path: Path) -> None:
    done = Command({"FNKIT_HOME": str(tmp_path / "none")})("platform", "trust", "--json")
    assert (done.code, done.json()["error"]["code"]) == (1, "no-authority")


def test_who_is_not_root_is_told_what_root_can_run() -> None:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # a user's own: pytest's folders are closed to others
        ensure_certificate_authority(DataLayout(Path(folder)))
        for entry in (Path(folder), *Path(folder).rglob("*")):
            os.chown(entry, user, -1)
        done = subprocess.run(
            [interpreter_for(user), "-c", ENTRY, "platform", "trust", "--install", "--json", "--data-dir", folder],
            capture_output=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": folder},
            cwd="/",
            user=user if os.geteuid() == 0 else None,
            check=False,
        )
        error = json.loads(done.stdout)["error"]
        assert done.returncode == 1
        assert error["code"] in ("needs-root", "no-trust-store")
        assert f"{folder}/tls/authority.crt" in error["hint"]
        assert "sudo" in error["hint"] or error["code"] == "no-trust-store"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as the command itself does")
@pytest.mark.skipif(shutil.which("update-ca-certificates") is None, reason="needs Debian's store")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a mount namespace of its own")
def test_the_system_trusts_it_after_an_installation_and_no_more_after_its_removal(
    platform: PlatformUnderTest, tmp_path: Path
) -> None:
    """In a mount namespace whose store is a copy, so that this machine itself goes on trusting whom it did."""
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
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["000", "404", "1", "000"]


def test_a_stopped_platform_takes_the_same_port_and_authority_again_also_after_a_reset(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path / "home")
    with running_platform(layout.data_dir) as first:
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
def test_a_tls_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    done = Command({"FNKIT_HOME": str(tmp_path)})("platform", "start", "--detach", f"--tls-port={port}")
    assert done.code == 2
    assert "is not a port" in done.stderr
