"""The TLS door, with real clients: which certificate is shown, what is served, and what cannot hurt it."""

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
def test_a_functions_name_has_a_certificate_of_its_own(secure: TlsDataPlane, name: str) -> None:
    with secure.connect(name) as peer:
        assert certificate_names(peer) == {name}
    assert secure.call(name, "/a").json()["path"] == "/a"  # type: ignore[index]  # the event


def test_a_name_in_capitals_is_the_same_name(secure: TlsDataPlane) -> None:
    context = secure.context
    context.check_hostname = False
    with secure.connect(CUSTOM.upper(), context) as peer:
        assert certificate_names(peer) == {CUSTOM}


@pytest.mark.parametrize("name", ["nobody.example", "echo.example", "localhost", "x" * 60 + "." + "y" * 60, None])
def test_whoever_asks_for_another_name_is_shown_the_gateways_own(secure: TlsDataPlane, name: str | None) -> None:
    context = secure.context
    context.check_hostname = False
    with secure.connect(name, context) as peer:
        assert {"localhost", "127.0.0.1", socket.gethostname()} <= certificate_names(peer)


def test_a_client_refuses_a_name_that_no_function_answers_for(secure: TlsDataPlane) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"nobody\.example"):
        secure.connect("nobody.example")


def test_a_name_that_was_removed_is_shown_no_more(secure: TlsDataPlane) -> None:
    secure.data_plane.deploy("brief", ECHO, hosts=("first.example",))
    secure.connect("first.example").close()
    secure.data_plane.deploy("brief", ECHO, hosts=("second.example",))
    secure.connect("second.example").close()
    with pytest.raises(ssl.SSLCertVerificationError):
        secure.connect("first.example")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_path_form_is_served_under_the_gateways_own_names(secure: TlsDataPlane, host: str) -> None:
    event = secure.call(host, "/fr-par/tests/echo/a?x=1").json()
    assert isinstance(event, dict)
    assert (event["path"], event["queryStringParameters"]) == ("/a", {"x": "1"})


@pytest.mark.parametrize("claimed", [{}, {"X-Forwarded-Proto": "http"}])
def test_the_event_says_https_whatever_the_client_claims(secure: TlsDataPlane, claimed: dict[str, str]) -> None:
    event = secure.call(CUSTOM, headers=claimed).json()
    assert isinstance(event, dict)
    assert event["headers"]["X-Forwarded-Proto"] == "https"
    assert event["headers"]["X-Forwarded-For"] == event["headers"]["X-Envoy-External-Address"] == "127.0.0.1"


def test_nobody_can_claim_https_at_the_plain_door(secure: TlsDataPlane) -> None:
    event = secure.data_plane.call("echo", headers={"X-Forwarded-Proto": "https"}).json()
    assert isinstance(event, dict)
    assert event["headers"]["X-Forwarded-Proto"] == "http"


def test_a_private_function_asks_for_its_token_here_too(secure: TlsDataPlane) -> None:
    assert secure.call("secret.test").status == 403
    assert secure.call("secret.test", headers={"X-Auth-Token": SECRET_KEY}).status == 200


def test_a_connection_stays_open_between_requests_and_pipelined_ones_are_answered_in_order(
    secure: TlsDataPlane,
) -> None:
    with secure.connect(CUSTOM) as peer:
        peer.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: www.shop.example\r\n\r\n" % n for n in range(5)))
        peer.sendall(b"GET /last HTTP/1.1\r\nHost: www.shop.example\r\nConnection: close\r\n\r\n")
        raw = read_to_end(peer)
    assert raw.count(b"HTTP/1.1 200 ") == 6
    positions = [raw.index(b'"path":"/%b"' % name) for name in (b"0", b"1", b"2", b"3", b"4", b"last")]
    assert positions == sorted(positions)


def test_bodies_of_any_size_go_through(secure: TlsDataPlane) -> None:
    secure.data_plane.deploy("size", "def handle(event, context):\n    return event['body'] * 2\n")
    body = b"x" * 6291456
    assert secure.call("size.test", method="POST", body=body).body == body * 2


def test_a_client_that_leaves_in_the_middle_frees_the_instance(secure: TlsDataPlane) -> None:
    source = (
        "import time\ndef handle(e, c):\n    time.sleep(0.2 if e['path'] == '/slow' else 0)\n    return 'done'\n"
    )
    secure.data_plane.deploy("leaver", source, max_scale=1)
    for _ in range(3):
        with secure.connect("leaver.test") as peer:
            peer.sendall(b"GET /slow HTTP/1.1\r\nHost: leaver.test\r\n\r\n")
    assert secure.call("leaver.test").body == b"done"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_todays_versions_of_tls_are_spoken(secure: TlsDataPlane, version: ssl.TLSVersion) -> None:
    context = secure.context
    context.minimum_version = context.maximum_version = version
    with secure.connect(CUSTOM, context) as peer:
        assert peer.version() == version.name.replace("_", ".")


@pytest.mark.parametrize(("version", "agreed"), [("-tls1_1", False), ("-tls1_2", True)])
def test_an_older_version_is_refused(secure: TlsDataPlane, version: str, *, agreed: bool) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    address = f"127.0.0.1:{secure.port}"
    command = ["openssl", "s_client", "-connect", address, version, "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert (done.returncode == 0) is agreed


def test_a_client_that_offers_http2_gets_http1(secure: TlsDataPlane) -> None:
    context = secure.context
    context.set_alpn_protocols(["h2", "http/1.1"])
    with secure.connect(CUSTOM, context) as peer:
        assert peer.selected_alpn_protocol() == "http/1.1"


def test_plain_http_on_the_tls_port_is_told_so(secure: TlsDataPlane) -> None:
    with socket.create_connection(("127.0.0.1", secure.port), timeout=DEADLINE) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: www.shop.example\r\n\r\n")
        raw = read_to_end(peer)
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert json.loads(raw.partition(b"\r\n\r\n")[2]) == {"message": "this port requires TLS: use https://"}


def test_garbage_hurts_nobody(secure: TlsDataPlane) -> None:
    source = random.Random(4)  # noqa: S311  (the same garbage every time)
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


def test_half_a_handshake_is_forgotten_when_its_client_leaves(secure: TlsDataPlane) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = secure.context.wrap_bio(incoming, outgoing, server_hostname=CUSTOM)
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    data = outgoing.read()
    for size in (1, 6, len(data) // 2, len(data)):
        with socket.create_connection(("127.0.0.1", secure.port), timeout=DEADLINE) as peer:
            peer.sendall(data[:size])
    assert secure.call(CUSTOM).status == 200


def test_requests_trusts_it_by_its_bundle(secure: TlsDataPlane) -> None:
    url = f"https://localhost:{secure.port}/fr-par/tests/echo/x"
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(url, verify=str(secure.ca), timeout=DEADLINE).json()["path"] == "/x"
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, timeout=DEADLINE)


def test_curl_trusts_it_by_its_option(secure: TlsDataPlane) -> None:
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


def test_node_trusts_it_by_its_variable(secure: TlsDataPlane) -> None:
    if shutil.which("node") is None:
        pytest.skip("needs node")
    url = f"https://localhost:{secure.port}/fr-par/tests/echo/n"
    script = f"fetch({url!r}).then(a => a.text()).then(console.log, e => console.log(e.cause.code))"
    environment = {"PATH": os.environ["PATH"]}
    trusting = environment | {"NODE_EXTRA_CA_CERTS": str(secure.ca)}
    done = subprocess.run(["node", "-e", script], capture_output=True, env=trusting, check=True)
    assert json.loads(done.stdout)["path"] == "/n"
    done = subprocess.run(["node", "-e", script], capture_output=True, env=environment, check=True)
    assert b"UNABLE_TO_VERIFY" in done.stdout
