"""Access to private functions, tested with a real data plane over real sockets."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fnkit.platform.model.routing import (
    AcceptedCredentials,
    ClockChanged,
    ClockState,
    CredentialsChanged,
    KeyGrant,
    Route,
    Snapshot,
)
from tests.support.data_plane import SECRET_KEY, DataPlaneProcess, running_data_plane
from tests.support.examples import examples
from tests.support.tokens import claims, hs256_signed, public_pem, signed, signing_key, unsigned
from tests.support.waiting import wait_until

PRIVATE = "print('started')\ndef handle(event, context):\n    return {'body': event['headers']}\n"
PUBLIC_KEY = public_pem(signing_key())
NAMESPACE = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.control.send_and_wait_for_ack(
            CredentialsChanged(version=running.control.next_version(), public_key=PUBLIC_KEY)
        )
        yield running


@pytest.fixture(scope="module")
def route(plane: DataPlaneProcess) -> Route:
    return plane.deploy("private", PRIVATE, privacy="private")


def issue(plane: DataPlaneProcess, *token_ids: str) -> None:
    plane.control.send_and_wait_for_ack(CredentialsChanged(version=plane.control.next_version(), issued=token_ids))


def issued_token(plane: DataPlaneProcess, **scope: object) -> str:
    """Return a token that the platform issued."""
    token_id = str(uuid.uuid4())
    issue(plane, token_id)
    return signed(claims(token_id, **scope))  # type: ignore[arg-type]  # claims of any kind, wrong ones too


def key_grants(*grants: tuple[str, str | None]) -> tuple[KeyGrant, ...]:
    return tuple(
        KeyGrant(sha256=hashlib.sha256(secret.encode()).digest(), project_id=project) for secret, project in grants
    )


def status(plane: DataPlaneProcess, token: str, header: str = "X-Auth-Token") -> int:
    reply = plane.call("private", headers={header: token})
    if reply.status == 403:
        assert reply.headers["content-type"] == "application/json"
        assert str(json.loads(reply.body)["message"]).startswith("this function is private: ")
    return reply.status


@pytest.mark.parametrize("header", ["X-Auth-Token", "SCW-Functions-Token", "SCW_FUNCTIONS_TOKEN"])
def test_function_token_authorizes_call_and_is_hidden_from_handler(
    plane: DataPlaneProcess, route: Route, header: str
) -> None:
    token = issued_token(plane, function_id=route.function_id)
    reply = plane.call("private", headers={header: token})

    assert reply.status == 200
    assert token not in reply.body.decode()


def test_current_token_header_precedes_older_ones(plane: DataPlaneProcess, route: Route) -> None:
    token = issued_token(plane, function_id=route.function_id)

    assert plane.call("private", headers={"SCW-Functions-Token": token, "X-Auth-Token": "wrong"}).status == 403
    assert plane.call("private", headers={"SCW-Functions-Token": "wrong", "X-Auth-Token": token}).status == 200
    assert plane.call("private", headers={"SCW-Functions-Token": token, "X-Auth-Token": ""}).status == 200


def test_namespace_token_authorizes_call(plane: DataPlaneProcess, route: Route) -> None:
    assert status(plane, issued_token(plane, namespace_id=route.namespace_id)) == 200


def test_platform_key_authorizes_call(plane: DataPlaneProcess, route: Route) -> None:
    assert route.privacy == "private"
    assert status(plane, SECRET_KEY) == 200


def test_missing_token_returns_403_that_names_the_header(plane: DataPlaneProcess, route: Route) -> None:
    assert route.privacy == "private"
    assert plane.call("private").json() == {"message": "this function is private: X-Auth-Token is missing"}


GOOD = claims("issued", function_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "private")))
OTHER = str(uuid.uuid4())
HEADER, PAYLOAD, SIGNATURE = signed(GOOD).split(".")
WRONG = {
    "not a token": "nope",
    "not signed": unsigned(GOOD),
    "RS256, not signed": unsigned(GOOD, "RS256"),
    "HS256 with the public key": hs256_signed(GOOD, PUBLIC_KEY),
    "HS256 with the public key, stripped": hs256_signed(GOOD, PUBLIC_KEY.strip()),
    "signed by another key": signed(GOOD, signing_key("another")),
    "modified after signing": f"{HEADER}.{PAYLOAD[:-2]}xx.{SIGNATURE}",
    "without signature": f"{HEADER}.{PAYLOAD}",
    "never issued": signed({**GOOD, "jti": "unknown"}),
    "for another function": signed(claims("issued", function_id=OTHER)),
    "for another namespace": signed(claims("issued", namespace_id=OTHER)),
    "without scope": signed(claims("issued")),
    "for containers": signed({**GOOD, "aud": "containers"}),
    "two claims": signed({**GOOD, "application_claim": [{"namespace_id": NAMESPACE, "application_id": ""}] * 2}),
    "no claim": signed({**GOOD, "application_claim": []}),
    "malformed claim": signed({**GOOD, "application_claim": {"namespace_id": NAMESPACE}}),
    "no id": signed({name: value for name, value in GOOD.items() if name != "jti"}),
    "non-numeric expiry": signed({**GOOD, "exp": "never"}),
    "too long": signed({**GOOD, "more": "x" * 9000}),
}
"""Each names this function and an issued id as far as its form allows, and must be rejected."""


@pytest.mark.parametrize("kind", WRONG)
def test_invalid_token_returns_403(plane: DataPlaneProcess, route: Route, kind: str) -> None:
    issue(plane, "issued")

    assert GOOD["application_claim"] == [{"namespace_id": "", "application_id": route.function_id}]
    assert status(plane, signed(GOOD)) == 200
    assert status(plane, WRONG[kind]) == 403


def test_token_expires_by_platform_clock(route: Route, plane: DataPlaneProcess) -> None:
    now = time.time()
    token = issued_token(plane, function_id=route.function_id, exp=int(now) + 3600)

    assert status(plane, token) == 200
    clock = ClockState(platform_time=now + 3601, real_time=now, speed=0.0)
    plane.control.send_and_wait_for_ack(ClockChanged(version=plane.control.next_version(), clock=clock))
    assert plane.call("private", headers={"X-Auth-Token": token}).json() == {
        "message": "this function is private: the token in X-Auth-Token has expired"
    }


def test_deleted_token_is_rejected(route: Route, plane: DataPlaneProcess) -> None:
    token_id = str(uuid.uuid4())
    issue(plane, token_id)
    token = signed(claims(token_id, function_id=route.function_id))
    assert status(plane, token) == 200

    plane.control.send_and_wait_for_ack(
        CredentialsChanged(version=plane.control.next_version(), revoked=(token_id,))
    )

    assert status(plane, token) == 403


def test_api_key_authorizes_calls_within_its_project(route: Route, plane: DataPlaneProcess) -> None:
    keys = key_grants(("all", None), ("same-project", route.project_id), ("other-project", str(uuid.uuid4())))
    plane.control.send_and_wait_for_ack(CredentialsChanged(version=plane.control.next_version(), keys=keys))

    assert [status(plane, secret) for secret in ("all", "same-project", "other-project", "none")] == [
        200,
        200,
        403,
        403,
    ]
    assert status(plane, SECRET_KEY) == 200
    plane.control.send_and_wait_for_ack(CredentialsChanged(version=plane.control.next_version(), keys=()))
    assert status(plane, "all") == 403


def test_public_function_never_sees_the_platform_key(plane: DataPlaneProcess) -> None:
    plane.deploy("public", "def handle(event, context):\n    return {'body': event['headers']}\n")
    headers = {"X-Auth-Token": "my own", "SCW-Functions-Token": SECRET_KEY}

    assert SECRET_KEY not in plane.call("public", headers=headers).body.decode()
    assert "my own" in plane.call("public", headers={"X-Auth-Token": "my own"}).body.decode()


def snapshot(plane: DataPlaneProcess, route: Route, credentials: AcceptedCredentials) -> Snapshot:
    clock = ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
    return Snapshot(version=plane.control.next_version(), clock=clock, routes=(route,), credentials=credentials)


def start_count(plane: DataPlaneProcess, route: Route) -> int:
    return [line.message for line in plane.log_lines(route)].count("started")


def test_rejected_call_starts_no_instance() -> None:
    with running_data_plane(send_snapshot=False) as plane:
        idle = plane.route("private", plane.write_code("private", {"handler.py": PRIVATE}), privacy="private")
        plane.control.send_and_wait_for_ack(snapshot(plane, idle, AcceptedCredentials(public_key=PUBLIC_KEY)))
        for token in ("", "nope", signed(claims("gone", function_id=idle.function_id))):
            assert status(plane, token) == 403

        assert status(plane, SECRET_KEY) == 200
        wait_until(lambda: start_count(plane, idle))
        assert start_count(plane, idle) == 1


def test_snapshot_replaces_accepted_credentials() -> None:
    with running_data_plane() as plane:
        own = plane.deploy("private", PRIVATE, privacy="private")
        old, new = (signed(claims(name, function_id=own.function_id)) for name in ("old", "new"))
        for token_id in ("old", "new"):
            credentials = AcceptedCredentials(
                public_key=PUBLIC_KEY, tokens=(token_id,), keys=key_grants((token_id, None))
            )
            clock = ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
            plane.control.send_and_wait_for_ack(
                Snapshot(version=plane.control.next_version(), clock=clock, routes=(own,), credentials=credentials)
            )
        assert [status(plane, one) for one in (old, new, "old", "new")] == [403, 200, 403, 200]


ANY_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)
CLAIMS = st.dictionaries(
    st.sampled_from(("jti", "aud", "application_claim", "exp", "nbf", "iat", "sub", "iss")) | st.text(max_size=5),
    JSON,
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    token=ANY_TEXT
    | CLAIMS.map(signed)
    | CLAIMS.map(unsigned)
    | st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT).map(".".join)
)
def test_arbitrary_token_returns_403(plane: DataPlaneProcess, route: Route, token: str) -> None:
    assert route.privacy == "private"
    assert status(plane, token) == 403
