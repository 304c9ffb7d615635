"""Token endpoints: behaviour recorded from the Scaleway API, and recovery after ``kill -9``."""

from __future__ import annotations

import base64
import json
import stat
import uuid
from pathlib import Path
from threading import Thread

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fnkit.platform.model.routing import CredentialsChanged
from tests.support.control_process import API, ControlProcess, running_control
from tests.support.fake_data_plane import connected_data_plane

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def function(control: ControlProcess) -> dict[str, object]:
    return control.create_function(control.create_namespace(f"tokens-{uuid.uuid4().hex[:6]}")["id"])


def create(control: ControlProcess, **body: object) -> dict[str, object]:
    return control.request("POST", f"{API}/tokens", body).ok()


def listed(control: ControlProcess, **query: object) -> list[object]:
    page = control.request("GET", f"{API}/tokens", query=query).ok()
    tokens = page["tokens"]
    assert isinstance(tokens, list)
    return [token["id"] for token in tokens]


def test_token_is_shown_once_and_hidden_afterwards(control: ControlProcess, function: dict[str, object]) -> None:
    created = create(control, function_id=function["id"], description=None)
    read = control.wait_until_settled("tokens", created["id"])

    assert list(created) == ["id", "token", "function_id", "public_key", "status", "description", "expires_at"]
    assert (created["status"], created["description"], created["expires_at"]) == ("creating", "", None)
    assert read == {**created, "status": "ready", "token": "<hidden>", "public_key": ""}


def test_token_is_signed_by_the_returned_key_with_recorded_claims(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = create(control, function_id=function["id"])
    header, payload, _ = str(created["token"]).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    public_key = load_pem_public_key(str(created["public_key"]).encode())

    assert str(created["public_key"]).startswith("-----BEGIN RSA PUBLIC KEY-----\n")
    assert str(created["public_key"]).endswith("-----END RSA PUBLIC KEY-----\n")
    assert isinstance(public_key, RSAPublicKey)
    assert public_key.key_size == 4096
    assert jwt.decode(str(created["token"]), public_key, algorithms=["RS256"], audience="functions") == claims
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"RS256","typ":"JWT"}'
    assert list(claims) == ["application_claim", "version", "aud", "jti", "iat", "iss", "nbf", "sub"]
    assert claims["application_claim"] == [{"namespace_id": "", "application_id": function["id"]}]
    assert (claims["version"], claims["aud"], claims["iss"], claims["sub"]) == (2, "functions", "SCALEWAY", "token")
    assert claims["jti"] == created["id"]
    assert claims["iat"] == claims["nbf"]


def test_namespace_token_has_no_function_and_expires_in_utc(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = create(control, namespace_id=function["namespace_id"], expires_at="2126-07-04T18:49:39.987+02:00")
    claims = json.loads(base64.urlsafe_b64decode(str(created["token"]).split(".")[1] + "=="))

    assert "function_id" not in created
    assert created["namespace_id"] == function["namespace_id"]
    assert created["expires_at"] == "2126-07-04T16:49:39Z"
    assert list(claims)[3] == "exp"
    assert claims["exp"] == 4_938_857_379
    assert claims["application_claim"] == [{"namespace_id": function["namespace_id"], "application_id": ""}]


def test_list_filters_by_function_or_namespace_and_is_paged(
    control: ControlProcess, function: dict[str, object]
) -> None:
    other = control.create_function(function["namespace_id"], f"f-{uuid.uuid4().hex[:6]}")
    tokens = [create(control, function_id=other["id"])["id"] for _ in range(3)]
    own = create(control, namespace_id=function["namespace_id"])["id"]

    assert listed(control, function_id=other["id"]) == tokens
    assert listed(control, function_id=other["id"], order_by="created_at_desc") == tokens[::-1]
    assert listed(control, function_id=other["id"], page=2, page_size=2) == tokens[2:]
    assert own in listed(control, namespace_id=function["namespace_id"])
    assert tokens[0] not in listed(control, namespace_id=function["namespace_id"], page_size=100)
    assert listed(control, function_id=str(uuid.uuid4())) == []
    assert {own, *tokens} <= set(listed(control, page_size=100))


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "exactly one of function_id and namespace_id"),
        ({"function_id": None, "namespace_id": ""}, 400, "exactly one of function_id and namespace_id"),
        ({"function_id": UNKNOWN_ID, "namespace_id": UNKNOWN_ID}, 400, "exactly one of"),
        ({"function_id": "x"}, 400, "function_id must be a UUID"),
        ({"function_id": UNKNOWN_ID}, 404, "Function was not found"),
        ({"namespace_id": UNKNOWN_ID}, 404, "Namespace was not found"),
        ({"namespace_id": UNKNOWN_ID, "expires_at": "tomorrow"}, 400, "expires_at must be an RFC 3339 date"),
        ({"namespace_id": UNKNOWN_ID, "expires_at": ""}, 400, "expires_at must be an RFC 3339 date"),
        (
            {"namespace_id": UNKNOWN_ID, "expires_at": "2022-02-30T00:00:00Z"},
            400,
            "expires_at is not a date",
        ),
        (
            {"namespace_id": UNKNOWN_ID, "expires_at": "0001-01-01T00:00:00+01:00"},
            400,
            "expires_at is not a date",
        ),
        ({"namespace_id": UNKNOWN_ID, "expires_at": 7}, 400, "invalid value for expires_at"),
        ({"namespace_id": UNKNOWN_ID, "description": "x" * 4097}, 400, "description must be at most"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_invalid_request_is_rejected_with_reason(
    control: ControlProcess, body: dict[str, object], status: int, text: str
) -> None:
    response = control.request("POST", f"{API}/tokens", body)

    assert (response.status, text in response.message) == (status, True), response


def test_deleted_token_is_not_found(control: ControlProcess, function: dict[str, object]) -> None:
    created = create(control, function_id=function["id"])
    deleted = control.request("DELETE", f"{API}/tokens/{created['id']}").ok()
    control.wait_until_deleted("tokens", created["id"])
    again = control.request("DELETE", f"{API}/tokens/{created['id']}")

    assert deleted == {**created, "status": "deleting", "token": "<hidden>", "public_key": ""}
    assert (again.status, again.document) == (404, {"message": "Token was not found"})


def test_tokens_are_deleted_with_their_function_or_namespace(control: ControlProcess) -> None:
    namespace = control.create_namespace(f"tokens-{uuid.uuid4().hex[:6]}")
    first, second = (control.create_function(namespace["id"], name) for name in ("first", "second"))
    of_first = create(control, function_id=first["id"])["id"]
    of_second = create(control, function_id=second["id"])["id"]
    of_namespace = create(control, namespace_id=namespace["id"])["id"]

    control.request("DELETE", f"{API}/functions/{first['id']}").ok()
    control.wait_until_deleted("tokens", of_first)
    assert control.request("POST", f"{API}/tokens", {"function_id": first["id"]}).status == 404
    assert not control.is_deleted("tokens", of_second)

    control.request("DELETE", f"{API}/namespaces/{namespace['id']}").ok()
    control.wait_until_deleted("tokens", of_second)
    control.wait_until_deleted("tokens", of_namespace)
    assert listed(control, namespace_id=namespace["id"]) == []


def test_token_is_not_found_in_another_region(control: ControlProcess, function: dict[str, object]) -> None:
    created = create(control, function_id=function["id"])
    other_region = API.replace("fr-par", "nl-ams")

    assert control.request("GET", f"{other_region}/tokens/{created['id']}").message == "Token was not found"
    assert control.request("DELETE", f"{other_region}/tokens/{created['id']}").message == "Token was not found"
    assert control.request("POST", f"{other_region}/tokens", {"function_id": function["id"]}).status == 404


@pytest.mark.parametrize("parameter", ["expiration_date", "expires_at"])
@pytest.mark.parametrize("expires_at", ["2126-01-02T00:00:00Z", "2126-01-02T01:00:00 01:00"])
def test_issue_jwt_creates_a_token_for_older_clients(
    control: ControlProcess, function: dict[str, object], parameter: str, expires_at: str
) -> None:
    response = control.request(
        "GET", f"{API}/issue-jwt", query={"namespace_id": function["namespace_id"], parameter: expires_at}
    ).ok()
    claims = jwt.decode(str(response["token"]), options={"verify_signature": False})

    assert list(response) == ["token"]
    assert claims["exp"] == 4_922_985_600
    assert claims["application_claim"] == [{"namespace_id": function["namespace_id"], "application_id": ""}]
    assert claims["jti"] in listed(control, namespace_id=function["namespace_id"], page_size=100)


@pytest.mark.long
def test_token_survives_a_kill_and_its_text_is_not_stored(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        with connected_data_plane(control.settings.control_socket) as peer:
            namespace = control.create_namespace()
            created = create(control, namespace_id=namespace["id"])
            control.kill()
            changes = [one for one in peer.received if isinstance(one, CredentialsChanged)]
            assert [one.issued for one in changes] == [(created["id"],)]
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            credentials = peer.snapshot.credentials
            assert credentials.tokens == (created["id"],)
            assert credentials.public_key == created["public_key"]
            assert control.wait_until_settled("tokens", created["id"])["status"] == "ready"
            second = create(control, namespace_id=namespace["id"])
            assert second["public_key"] == created["public_key"]
            control.request("DELETE", f"{API}/tokens/{second['id']}").ok()
            revoked = [one.revoked for one in peer.received if isinstance(one, CredentialsChanged)]
            assert revoked[-1] == (second["id"],)
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        for token in (created["token"], second["token"]):
            assert not any(str(token).split(".")[2].encode() in file.read_bytes() for file in files)
    key = tmp_path / "keys" / "tokens.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.long
def test_interrupted_token_deletion_completes_after_restart(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        created = create(control, namespace_id=control.create_namespace()["id"])
        control.request("DELETE", f"{API}/tokens/{created['id']}").ok()
        control.kill()
        control.start()
        control.wait_until_deleted("tokens", created["id"])


@pytest.mark.long
def test_stop_does_not_wait_for_key_generation(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        namespace = control.create_namespace()
        statuses: list[int] = []

        def create_token() -> None:
            body = {"namespace_id": namespace["id"]}
            statuses.append(control.request("POST", f"{API}/tokens", body).status)

        thread = Thread(target=create_token)
        thread.start()
        assert control.stop() == 0
        thread.join(60)
    assert not (tmp_path / "keys" / "tokens.pem").exists() or statuses == [200]


def test_invalid_signing_key_file_fails_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "tokens.pem").write_text("no key")
    with pytest.raises(AssertionError, match="is not a key of this platform"), running_control(tmp_path):
        pass
