"""Uses every operation with every kind of key on another project's resources, also with ids inside of bodies.

The other project's resources contain a mark. No answer to a key that must not see them may contain it, and at the
end they are what they were at the beginning.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from fnkit.platform.control.api.openapi import openapi_document
from tests.attack.campaign import Attack, Findings
from tests.support.control_process import API, PROJECT, ControlProcess, running_control, zip_archive
from tests.support.http_response import HttpResponse

__all__ = ["AUTHORIZATION_ATTACK"]

_OTHER_PROJECT = "33333333-3333-3333-3333-333333333333"
_MARK = "canary-5f0c"
_KEYS = "/fnkit/v1/keys"
_OWN_ROUTES = (
    ("GET", "/metrics"),
    ("GET", "/fnkit/v1/regions/{region}/crons/{cron_id}/history"),
    ("GET", f"{API}/functions/{{function_id}}/logs"),
    ("GET", "/loki/api/v1/query_range?query={{resource_id=%22{function_id}%22}}"),
    ("GET", "/loki/api/v1/series?match[]={{resource_id=~%22.%2B%22}}"),
    ("GET", "/loki/api/v1/label/resource_name/values"),
    ("POST", _KEYS),
    ("GET", _KEYS),
)


def _attack(findings: Findings) -> None:
    with tempfile.TemporaryDirectory() as folder, running_control(Path(folder)) as control:
        victims = _create_victims(control, findings.random)
        before = _documents(control, victims)
        keys = _keys(control)
        operations = [*_operations(), *_OWN_ROUTES]
        for _ in findings.rounds():
            method, path = findings.random.choice(operations)
            name = findings.random.choice([*keys])
            target = _fill(path, victims, findings.random)
            body = _body(victims, findings.random) if method in ("POST", "PATCH") else None
            answer = control.request(method, target, body, headers={"X-Auth-Token": keys[name]})
            findings.outcomes[f"{answer.status // 100}xx"] += 1
            repeat = f"{method} {target} {json.dumps(body)} with {name}: {answer.status} {answer.body[:500]!r}"
            findings.check(answer.status < 500 or answer.status == 501, repeat)
            findings.check(name == "read-only" or not _reveals(answer), repeat)
            findings.check(answer.status >= 400 or method == "GET" or name == "other project", repeat)
        after = _documents(control, victims)
        findings.check(after == before, f"the resources have changed: {before} became {after}")
        findings.check("Traceback" not in control.log, control.log[-2000:])


def _create_victims(control: ControlProcess, source: random.Random) -> dict[str, str]:
    """Create one resource of each kind, with the mark, and return their ids by the names of parameters."""
    marked = {"description": _MARK, "environment_variables": {"MARK": _MARK}}
    namespace = control.create_namespace(f"victim-{source.randrange(10**6)}", **marked)
    function = control.create_function(namespace["id"], **marked)
    control.upload(function["id"], zip_archive())
    of_function = {"function_id": function["id"]}
    queue = {"queue": _MARK}
    bodies: dict[str, dict[str, object]] = {
        "cron": {**of_function, "schedule": "0 0 * * *", "name": _MARK, "args": {"mark": _MARK}},
        "domain": {**of_function, "hostname": f"{_MARK}.example.com"},
        "token": {**of_function, "description": _MARK},
        "trigger": {**of_function, "name": "jobs", "description": _MARK, "scw_sqs_config": queue},
    }
    created = {
        kind: str(control.request("POST", f"{API}/{kind}s", body).ok()["id"]) for kind, body in bodies.items()
    }
    for kind, record_id in created.items():
        control.wait_until_settled(f"{kind}s", record_id)
    ids = {"namespace": str(namespace["id"]), "function": str(function["id"]), **created}
    return {f"{kind}_id": record_id for kind, record_id in ids.items()}


def _documents(control: ControlProcess, victims: dict[str, str]) -> dict[str, object]:
    return {
        name: control.get(f"{name.removesuffix('_id')}s", record_id) for name, record_id in sorted(victims.items())
    }


def _keys(control: ControlProcess) -> dict[str, str]:
    """Return keys by what they are: none of them may write the victims, only the read-only one may read them."""
    bodies = {"other project": {"project_id": _OTHER_PROJECT}, "read-only": {"read_only": True}}
    made = {name: str(control.request("POST", _KEYS, body).ok()["secret_key"]) for name, body in bodies.items()}
    both = {"project_id": _OTHER_PROJECT, "read_only": True}
    secret = control.settings.secret_key
    return {
        **made,
        "other project, read-only": str(control.request("POST", _KEYS, both).ok()["secret_key"]),
        "none": "",
        "unknown": "99999999-9999-4999-8999-999999999999",
        "shortened": secret[:-1],
        "of an access key": control.settings.access_key,
        "unsigned token": "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.",
    }


def _operations() -> Iterator[tuple[str, str]]:
    paths = openapi_document()["paths"]
    assert isinstance(paths, dict)
    for path, methods in paths.items():
        for method in ("get", "post", "patch", "delete"):
            if method in methods and not path.endswith("/runtimes"):
                yield method.upper(), path


def _fill(path: str, victims: dict[str, str], source: random.Random) -> str:
    """Put the victims' ids into a path, written as clients may write them, and into its query."""
    region = source.choice(["fr-par"] * 8 + ["nl-ams", "pl-waw", "fr-par%2f", "FR-PAR"])
    values = {name: _written(record_id, source) for name, record_id in victims.items()}
    target = path.format(region=region, key_id="SCWXXXXXXXXXXXXXXXXX", **values)
    parameters = [
        *(f"{name}={value}" for name, value in values.items()),
        f"project_id={PROJECT}", f"organization_id={PROJECT}", "page_size=100", "content_length=10",
    ]  # fmt: skip
    chosen = source.sample(parameters, source.randint(0, 4))
    return target + (("&" if "?" in target else "?") + "&".join(chosen) if chosen else "")


def _written(record_id: str, source: random.Random) -> str:
    return source.choice(
        [record_id] * 6
        + [record_id.upper(), quote(record_id.replace("-", "%2d"), safe="%"), f"./{record_id}", record_id + "/"]
    )


def _body(victims: dict[str, str], source: random.Random) -> dict[str, object]:
    """Return a body whose fields name the victims, also inside."""
    queue = {"queue": _MARK, "mnq_project_id": PROJECT, "mnq_region": "fr-par"}
    subject = {"subject": _MARK, "mnq_nats_account_id": "A" * 56, "mnq_project_id": PROJECT, "mnq_region": "fr-par"}
    fields: list[tuple[str, object]] = [
        *victims.items(),
        ("project_id", PROJECT), ("organization_id", PROJECT), ("name", "taken"), ("runtime", "python311"),
        ("schedule", "* * * * *"), ("hostname", "taken.example.com"), ("privacy", "public"),
        ("description", "taken"), ("expires_at", "2030-01-01T00:00:00Z"),
        ("environment_variables", {"MARK": "taken"}), ("scw_sqs_config", queue), ("scw_nats_config", subject),
        ("secret_environment_variables", [{"key": "A", "value": "b"}]), ("id", victims["function_id"]),
        ("status", "ready"), ("domain_name", "taken.example.com"), ("read_only", False),
    ]  # fmt: skip
    return dict(source.sample(fields, source.randint(1, 8)))


def _reveals(answer: HttpResponse) -> bool:
    return _MARK.encode() in answer.body


AUTHORIZATION_ATTACK = Attack("authorization of the API", _attack, share=2)
