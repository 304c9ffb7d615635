"""Who may call a private function, asked of a real data plane over real sockets."""

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

PRIVATE = "print('woke')\ndef handle(event, context):\n    return {'body': event['headers']}\n"
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


def live(plane: DataPlaneProcess, **scope: object) -> str:
    """A token that the platform issued."""
    token_id = str(uuid.uuid4())
    issue(plane, token_id)
    return signed(claims(token_id, **scope))  # type: ignore[arg-type]  # claims of any kind, wrong ones too


def key(*grants: tuple[str, str | None]) -> tuple[KeyGrant, ...]:
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
def test_its_own_token_opens_it_under_every_header_and_is_not_shown_to_it(
    plane: DataPlaneProcess, route: Route, header: str
) -> None:
    token = live(plane, function_id=route.function_id)
    reply = plane.call("private", headers={header: token})

    assert reply.status == 200
    assert token not in reply.body.decode()


def test_todays_header_counts_before_the_older_ones(plane: DataPlaneProcess, route: Route) -> None:
    token = live(plane, function_id=route.function_id)

    assert plane.call("private", headers={"SCW-Functions-Token": token, "X-Auth-Token": "wrong"}).status == 403
    assert plane.call("private", headers={"SCW-Functions-Token": "wrong", "X-Auth-Token": token}).status == 200
    assert plane.call("private", headers={"SCW-Functions-Token": token, "X-Auth-Token": ""}).status == 200


def test_its_namespaces_token_opens_it(plane: DataPlaneProcess, route: Route) -> None:
    assert status(plane, live(plane, namespace_id=route.namespace_id)) == 200


def test_the_platforms_own_key_opens_it(plane: DataPlaneProcess, route: Route) -> None:
    assert route.privacy == "private"
    assert status(plane, SECRET_KEY) == 200


def test_without_a_token_it_is_a_403_that_says_so(plane: DataPlaneProcess, route: Route) -> None:
    assert route.privacy == "private"
    assert plane.call("private").json() == {"message": "this function is private: X-Auth-Token is missing"}


GOOD = claims("live", function_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "private")))
OTHER = str(uuid.uuid4())
HEADER, PAYLOAD, SIGNATURE = signed(GOOD).split(".")
WRONG = {
    "no token": "nope",
    "not signed": unsigned(GOOD),
    "RS256, not signed": unsigned(GOOD, "RS256"),
    "HS256 with the public key": hs256_signed(GOOD, PUBLIC_KEY),
    "HS256 with the public key, stripped": hs256_signed(GOOD, PUBLIC_KEY.strip()),
    "another key": signed(GOOD, signing_key("another")),
    "changed after it was signed": f"{HEADER}.{PAYLOAD[:-2]}xx.{SIGNATURE}",
    "half of it": f"{HEADER}.{PAYLOAD}",
    "never issued": signed({**GOOD, "jti": "unknown"}),
    "another function's": signed(claims("live", function_id=OTHER)),
    "another namespace's": signed(claims("live", namespace_id=OTHER)),
    "for nothing": signed(claims("live")),
    "for containers": signed({**GOOD, "aud": "containers"}),
    "two claims": signed({**GOOD, "application_claim": [{"namespace_id": NAMESPACE, "application_id": ""}] * 2}),
    "no claim": signed({**GOOD, "application_claim": []}),
    "a claim of another form": signed({**GOOD, "application_claim": {"namespace_id": NAMESPACE}}),
    "no id": signed({name: value for name, value in GOOD.items() if name != "jti"}),
    "an end that is no number": signed({**GOOD, "exp": "never"}),
    "a very long one": signed({**GOOD, "more": "x" * 9000}),
}
"""Each names this function and a live id as far as it can, and must not open it."""


@pytest.mark.parametrize("kind", WRONG)
def test_whatever_is_wrong_with_a_token_it_is_a_403(plane: DataPlaneProcess, route: Route, kind: str) -> None:
    issue(plane, "live")

    assert GOOD["application_claim"] == [{"namespace_id": "", "application_id": route.function_id}]
    assert status(plane, signed(GOOD)) == 200
    assert status(plane, WRONG[kind]) == 403


def test_a_token_ends_by_the_platforms_clock(route: Route, plane: DataPlaneProcess) -> None:
    now = time.time()
    token = live(plane, function_id=route.function_id, exp=int(now) + 3600)

    assert status(plane, token) == 200
    clock = ClockState(platform_time=now + 3601, real_time=now, speed=0.0)
    plane.control.send_and_wait_for_ack(ClockChanged(version=plane.control.next_version(), clock=clock))
    assert plane.call("private", headers={"X-Auth-Token": token}).json() == {
        "message": "this function is private: the token in X-Auth-Token has expired"
    }


def test_a_token_is_worthless_once_it_was_deleted(route: Route, plane: DataPlaneProcess) -> None:
    token_id = str(uuid.uuid4())
    issue(plane, token_id)
    token = signed(claims(token_id, function_id=route.function_id))
    assert status(plane, token) == 200

    plane.control.send_and_wait_for_ack(
        CredentialsChanged(version=plane.control.next_version(), revoked=(token_id,))
    )

    assert status(plane, token) == 403


def test_an_api_key_opens_it_where_it_sees_its_project(route: Route, plane: DataPlaneProcess) -> None:
    keys = key(("all", None), ("ours", route.project_id), ("theirs", str(uuid.uuid4())))
    plane.control.send_and_wait_for_ack(CredentialsChanged(version=plane.control.next_version(), keys=keys))

    assert [status(plane, secret) for secret in ("all", "ours", "theirs", "none")] == [200, 200, 403, 403]
    assert status(plane, SECRET_KEY) == 200
    plane.control.send_and_wait_for_ack(CredentialsChanged(version=plane.control.next_version(), keys=()))
    assert status(plane, "all") == 403


def test_no_header_shows_an_api_key_to_a_public_function(plane: DataPlaneProcess) -> None:
    plane.deploy("public", "def handle(event, context):\n    return {'body': event['headers']}\n")
    headers = {"X-Auth-Token": "my own", "SCW-Functions-Token": SECRET_KEY}

    assert SECRET_KEY not in plane.call("public", headers=headers).body.decode()
    assert "my own" in plane.call("public", headers={"X-Auth-Token": "my own"}).body.decode()


def snapshot(plane: DataPlaneProcess, route: Route, credentials: AcceptedCredentials) -> Snapshot:
    clock = ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
    return Snapshot(version=plane.control.next_version(), clock=clock, routes=(route,), credentials=credentials)


def woken(plane: DataPlaneProcess, route: Route) -> int:
    return [line.message for line in plane.log_lines(route)].count("woke")


def test_nothing_wakes_for_a_call_that_is_refused() -> None:
    with running_data_plane(send_snapshot=False) as plane:
        asleep = plane.route("private", plane.write_code("private", {"handler.py": PRIVATE}), privacy="private")
        plane.control.send_and_wait_for_ack(snapshot(plane, asleep, AcceptedCredentials(public_key=PUBLIC_KEY)))
        for token in ("", "nope", signed(claims("gone", function_id=asleep.function_id))):
            assert status(plane, token) == 403

        assert status(plane, SECRET_KEY) == 200
        wait_until(lambda: woken(plane, asleep))
        assert woken(plane, asleep) == 1


def test_a_snapshot_says_all_that_is_accepted_from_now_on() -> None:
    with running_data_plane() as plane:
        own = plane.deploy("private", PRIVATE, privacy="private")
        old, new = (signed(claims(name, function_id=own.function_id)) for name in ("old", "new"))
        for token_id in ("old", "new"):
            credentials = AcceptedCredentials(public_key=PUBLIC_KEY, tokens=(token_id,), keys=key((token_id, None)))
            clock = ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
            plane.control.send_and_wait_for_ack(
                Snapshot(version=plane.control.next_version(), clock=clock, routes=(own,), credentials=credentials)
            )
        assert [status(plane, one) for one in (old, new, "old", "new")] == [403, 200, 403, 200]


GARBAGE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=200)
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
    token=GARBAGE | CLAIMS.map(signed) | CLAIMS.map(unsigned) | st.tuples(GARBAGE, GARBAGE, GARBAGE).map(".".join)
)
def test_garbage_is_a_403_whatever_it_is(plane: DataPlaneProcess, route: Route, token: str) -> None:
    assert route.privacy == "private"
    assert status(plane, token) == 403
