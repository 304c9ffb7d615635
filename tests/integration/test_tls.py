"""The TLS port with real clients: certificates, served requests and invalid input."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.support.data_plane import SECRET_KEY
from tests.support.tls_data_plane import TlsDataPlane, certificate_names, read_to_end, running_tls_data_plane
from tests.support.toolchains import require_program
from tests.support.waiting import DEADLINE

ECHO = "def handle(event, context):\n    return {'body': event}\n"
NATIVE = "shop1a2b3c4d-echo.functions.fnc.fr-par.localhost"
SCALEWAYS = "shop1a2b3c4d-echo.functions.fnc.fr-par.scw.cloud"
CUSTOM = "www.shop.example"


@pytest.fixture(scope="module")
def secure() -> Iterator[TlsDataPlane]:
    with running_tls_data_plane() as running:
        running.data_plane.deploy("echo", ECHO, hosts=(NATIVE, SCALEWAYS, CUSTOM, "echo.test"))
        running.data_plane.deploy("secret", ECHO, privacy="private")
        yield running
        assert "Traceback" not in running.log
        assert "ERROR" not in running.log


@pytest.mark.parametrize("name", [NATIVE, SCALEWAYS, CUSTOM])
def test_function_host_has_its_own_certificate(secure: TlsDataPlane, name: str) -> None:
    with secure.connect(name) as peer:
        assert certificate_names(peer) == {name}
    assert secure.call(name, "/a").json()["path"] == "/a"  # type: ignore[index]  # the event


def test_server_name_is_case_insensitive(secure: TlsDataPlane) -> None:
    context = secure.context
    context.check_hostname = False
    with secure.connect(CUSTOM.upper(), context) as peer:
        assert certificate_names(peer) == {CUSTOM}


@pytest.mark.parametrize("name", ["unknown.example", "echo.example", "localhost", "x" * 60 + "." + "y" * 60, None])
def test_unknown_server_name_gets_the_gateway_certificate(secure: TlsDataPlane, name: str | None) -> None:
    context = secure.context
    context.check_hostname = False
    with secure.connect(name, context) as peer:
        assert {"localhost", "127.0.0.1", socket.gethostname()} <= certificate_names(peer)


def test_client_rejects_the_certificate_for_an_unknown_host(secure: TlsDataPlane) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unknown\.example"):
        secure.connect("unknown.example")


def test_removed_host_has_no_certificate(secure: TlsDataPlane) -> None:
    secure.data_plane.deploy("brief", ECHO, hosts=("first.example",))
    secure.connect("first.example").close()
    secure.data_plane.deploy("brief", ECHO, hosts=("second.example",))
    secure.connect("second.example").close()
    with pytest.raises(ssl.SSLCertVerificationError):
        secure.connect("first.example")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_path_url_is_served_on_gateway_hosts(secure: TlsDataPlane, host: str) -> None:
    event = secure.call(host, "/fr-par/tests/echo/a?x=1").json()
    assert isinstance(event, dict)
    assert (event["path"], event["queryStringParameters"]) == ("/a", {"x": "1"})


@pytest.mark.parametrize("claimed", [{}, {"X-Forwarded-Proto": "http"}])
def test_forwarded_proto_is_https_regardless_of_client_header(
    secure: TlsDataPlane, claimed: dict[str, str]
) -> None:
    event = secure.call(CUSTOM, headers=claimed).json()
    assert isinstance(event, dict)
    assert event["headers"]["X-Forwarded-Proto"] == "https"
    assert event["headers"]["X-Forwarded-For"] == event["headers"]["X-Envoy-External-Address"] == "127.0.0.1"


def test_plain_port_ignores_client_forwarded_proto(secure: TlsDataPlane) -> None:
    event = secure.data_plane.call("echo", headers={"X-Forwarded-Proto": "https"}).json()
    assert isinstance(event, dict)
    assert event["headers"]["X-Forwarded-Proto"] == "http"


def test_private_function_requires_token_over_tls(secure: TlsDataPlane) -> None:
    assert secure.call("secret.test").status == 403
    assert secure.call("secret.test", headers={"X-Auth-Token": SECRET_KEY}).status == 200


def test_pipelined_requests_over_tls_are_answered_in_order(
    secure: TlsDataPlane,
) -> None:
    with secure.connect(CUSTOM) as peer:
        peer.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: www.shop.example\r\n\r\n" % n for n in range(5)))
        peer.sendall(b"GET /last HTTP/1.1\r\nHost: www.shop.example\r\nConnection: close\r\n\r\n")
        raw = read_to_end(peer)
    assert raw.count(b"HTTP/1.1 200 ") == 6
    positions = [raw.index(b'"path":"/%b"' % name) for name in (b"0", b"1", b"2", b"3", b"4", b"last")]
    assert positions == sorted(positions)


def test_body_at_size_limit_is_accepted_and_returned(secure: TlsDataPlane) -> None:
    secure.data_plane.deploy("size", "def handle(event, context):\n    return event['body'] * 2\n")
    body = b"x" * 6291456
    assert secure.call("size.test", method="POST", body=body).body == body * 2


def test_client_disconnect_frees_the_instance(secure: TlsDataPlane) -> None:
    source = (
        "import time\ndef handle(e, c):\n    time.sleep(0.2 if e['path'] == '/slow' else 0)\n    return 'done'\n"
    )
    secure.data_plane.deploy("disconnect", source, max_scale=1)
    for _ in range(3):
        with secure.connect("disconnect.test") as peer:
            peer.sendall(b"GET /slow HTTP/1.1\r\nHost: disconnect.test\r\n\r\n")
    assert secure.call("disconnect.test").body == b"done"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_supported(secure: TlsDataPlane, version: ssl.TLSVersion) -> None:
    context = secure.context
    context.minimum_version = context.maximum_version = version
    with secure.connect(CUSTOM, context) as peer:
        assert peer.version() == version.name.replace("_", ".")


@pytest.mark.parametrize(("version", "agreed"), [("-tls1_1", False), ("-tls1_2", True)])
def test_tls_1_1_is_rejected_and_1_2_accepted(secure: TlsDataPlane, version: str, *, agreed: bool) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    address = f"127.0.0.1:{secure.port}"
    command = ["openssl", "s_client", "-connect", address, version, "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert (done.returncode == 0) is agreed


def test_alpn_selects_http_1_1(secure: TlsDataPlane) -> None:
    context = secure.context
    context.set_alpn_protocols(["h2", "http/1.1"])
    with secure.connect(CUSTOM, context) as peer:
        assert peer.selected_alpn_protocol() == "http/1.1"


def test_plain_http_on_tls_port_returns_400(secure: TlsDataPlane) -> None:
    with socket.create_connection(("127.0.0.1", secure.port), timeout=DEADLINE) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: www.shop.example\r\n\r\n")
        raw = read_to_end(peer)
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert json.loads(raw.partition(b"\r\n\r\n")[2]) == {"message": "this port requires TLS: use https://"}


def test_random_bytes_do_not_affect_other_connections(secure: TlsDataPlane) -> None:
    source = random.Random(4)  # noqa: S311  (reproducible input)
    with secure.connect(CUSTOM) as bystander:
        for number in range(60):
            start = b"\x16\x03\x01" if number % 2 else b"\x16" if number % 3 else b""
            with socket.create_connection(("127.0.0.1", secure.port), timeout=DEADLINE) as peer:
                peer.sendall(start + source.randbytes(source.randrange(1, 400)))
                if number % 5 == 0:
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(65536):
                        pass
        bystander.sendall(b"GET /still HTTP/1.1\r\nHost: www.shop.example\r\nConnection: close\r\n\r\n")
        assert b'"path":"/still"' in read_to_end(bystander)


def test_aborted_handshake_does_not_affect_others(secure: TlsDataPlane) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = secure.context.wrap_bio(incoming, outgoing, server_hostname=CUSTOM)
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    data = outgoing.read()
    for size in (1, 6, len(data) // 2, len(data)):
        with socket.create_connection(("127.0.0.1", secure.port), timeout=DEADLINE) as peer:
            peer.sendall(data[:size])
    assert secure.call(CUSTOM).status == 200


def test_requests_trusts_the_ca_by_verify_option(secure: TlsDataPlane) -> None:
    url = f"https://localhost:{secure.port}/fr-par/tests/echo/x"
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(url, verify=str(secure.ca), timeout=DEADLINE).json()["path"] == "/x"
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, timeout=DEADLINE)


def test_curl_trusts_the_ca_by_cacert_option(secure: TlsDataPlane) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    address = f"{CUSTOM}:{secure.port}"
    done = subprocess.run(
        ["curl", "-sS", "--cacert", secure.ca, "--resolve", f"{address}:127.0.0.1", f"https://{address}/c"],
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        check=True,
    )
    assert json.loads(done.stdout)["path"] == "/c"


def test_node_trusts_the_ca_by_environment_variable(secure: TlsDataPlane) -> None:
    require_program("node")
    url = f"https://localhost:{secure.port}/fr-par/tests/echo/n"
    script = f"fetch({url!r}).then(a => a.text()).then(console.log, e => console.log(e.cause.code))"
    environment = {"PATH": os.environ["PATH"]}
    trusting = environment | {"NODE_EXTRA_CA_CERTS": str(secure.ca)}
    done = subprocess.run(["node", "-e", script], capture_output=True, env=trusting, check=True)
    assert json.loads(done.stdout)["path"] == "/n"
    done = subprocess.run(["node", "-e", script], capture_output=True, env=environment, check=True)
    assert b"UNABLE_TO_VERIFY" in done.stdout
