"""Function endpoints: behaviour recorded from the Scaleway API."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.support.control_process import API, ControlProcess, running_control, zip_archive
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def namespace(control: ControlProcess) -> dict[str, object]:
    return control.create_namespace(f"functions-{uuid.uuid4().hex[:6]}")


def test_new_function_has_the_recorded_defaults(control: ControlProcess, namespace: dict[str, object]) -> None:
    body = {
        "name": "defaults",
        "namespace_id": namespace["id"],
        "runtime": "go126",
        **dict.fromkeys(("min_scale", "max_scale", "memory_limit", "timeout", "handler", "description", "tags")),
        "privacy": "unknown_privacy",
        "http_option": "unknown_http_option",
        "sandbox": "unknown_sandbox",
        "secret_environment_variables": None,
    }
    created = control.request("POST", f"{API}/functions", body).ok()
    label = str(namespace["registry_endpoint"]).rpartition("funcscw")[2]
    volatile = {name: created[name] for name in ("id", "created_at", "updated_at")}

    assert created == {
        **volatile,
        "name": "defaults",
        "namespace_id": namespace["id"],
        "status": "created",
        "environment_variables": {},
        "min_scale": 0,
        "max_scale": 5,
        "runtime": "go126",
        "memory_limit": 256,
        "cpu_limit": 140,
        "timeout": "300s",
        "handler": "Handle",
        "error_message": None,
        "privacy": "public",
        "description": "",
        "domain_name": f"{label}-defaults.functions.fnc.fr-par.localhost",
        "secret_environment_variables": [],
        "http_option": "enabled",
        "runtime_message": "",
        "build_message": None,
        "sandbox": "v2",
        "ready_at": None,
        "tags": [],
        "private_network_id": None,
        "region": "fr-par",
    }


def test_deploy_becomes_ready_and_redeploy_keeps_ready_at(
    control: ControlProcess, namespace: dict[str, object]
) -> None:
    function = control.create_function(namespace["id"], "redeployed")
    control.upload(function["id"], zip_archive())
    assert control.get("functions", function["id"])["status"] == "created"

    pending = control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    first = control.wait_until_settled("functions", function["id"])
    control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    second = control.wait_until_settled("functions", function["id"])

    assert (pending["status"], pending["ready_at"]) == ("pending", None)
    assert first["status"] == second["status"] == "ready"
    assert first["ready_at"] is not None
    assert first["ready_at"] == second["ready_at"]
    assert first["build_message"] is None


def test_patch_of_function_without_code_gives_the_recorded_error(
    control: ControlProcess, namespace: dict[str, object]
) -> None:
    function = control.create_function(namespace["id"], "codeless")
    patched = control.request("PATCH", f"{API}/functions/{function['id']}", {"timeout": "10.000000000s"}).ok()
    failed = control.wait_until_settled("functions", function["id"])
    stored = control.request("PATCH", f"{API}/functions/{function['id']}", {"redeploy": False}).ok()
    deleted = control.request("DELETE", f"{API}/functions/{function['id']}").ok()

    assert (patched["status"], patched["timeout"]) == ("pending", "10s")
    assert (failed["status"], failed["error_message"]) == ("error", "internal error")
    assert (failed["ready_at"], failed["build_message"]) == (None, None)
    assert stored["status"] == "error"
    assert (deleted["status"], deleted["error_message"]) == ("deleting", None)


def test_patch_with_unset_values_keeps_the_fields(control: ControlProcess, namespace: dict[str, object]) -> None:
    function = control.create_function(
        namespace["id"],
        "unset",
        privacy="private",
        http_option="redirected",
        sandbox="v1",
        tags=["t"],
        memory_limit=512,
    )
    unset = {
        "runtime": "unknown_runtime",
        "privacy": "unknown_privacy",
        "http_option": "unknown_http_option",
        "sandbox": "unknown_sandbox",
        "tags": None,
        "memory_limit": None,
        "redeploy": False,
    }
    patched = control.request("PATCH", f"{API}/functions/{function['id']}", unset).ok()
    timestamps = {"updated_at", "created_at"}

    assert {k: v for k, v in patched.items() if k not in timestamps} == {
        k: v for k, v in function.items() if k not in timestamps
    }


def test_invalid_zip_gives_the_recorded_build_error(control: ControlProcess, namespace: dict[str, object]) -> None:
    function = control.create_function(namespace["id"], "broken")
    failed = control.deploy(function["id"], b"this is not a zip")
    log = Path(control.settings.data_dir, "logs", str(function["id"]), "build.jsonl")

    assert failed["status"] == "error"
    assert failed["error_message"] == "an error occurred during function source code build step"
    assert "not a zip" in log.read_text()


def test_deploy_with_a_runtime_that_is_not_here_gives_an_error(tmp_path: Path) -> None:
    with running_control(tmp_path, strict_runtimes=True) as control:
        function = control.create_function(control.create_namespace()["id"], "modern", runtime="php85")
        failed = control.deploy(function["id"], zip_archive())
        assert (failed["status"], failed["error_message"]) == (
            "error",
            "No PHP 8.5 was found on this machine for the runtime php85.",
        )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "Upper"}, "function name must consist of lower case alphanumeric characters or '-'"),
        ({"name": "x" * 35}, "Key: 'Function.Name' Error:Field validation for 'Name' failed on the 'max' tag"),
        ({"handler": "nodot"}, "handler value is invalid"),
        ({"handler": "../up.handle"}, "handler value is invalid"),
        ({"memory_limit": 300}, "memory_limit must be one of 128, 256, 512, 1024, 2048, 3072, 4096"),
        ({"min_scale": -1}, "min_scale"),
        ({"max_scale": 51}, "max_scale"),
        ({"min_scale": 5, "max_scale": 4}, "min_scale must not be greater than max_scale"),
        ({"timeout": "5s"}, "timeout must be between 10s and 3600s"),
        ({"timeout": 20000}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"privacy": "secret"}, "privacy must be one of public, private"),
        ({"runtime": "cobol60"}, "runtime 'cobol60'"),
        ({"runtime": "unknown_runtime"}, "runtime is required"),
        ({"runtime": "node20"}, "runtime reached end of support, could not create new functions"),
        ({"runtime": "python37"}, "runtime reached end of life"),
        ({"private_network_id": "x"}, "private_network_id must be a UUID"),
    ],
    ids=str,
)
def test_invalid_field_is_rejected_with_reason(
    control: ControlProcess, namespace: dict[str, object], fields: dict[str, object], text: str
) -> None:
    body = {"name": "refused", "namespace_id": namespace["id"], "runtime": "python311", **fields}
    response = control.request("POST", f"{API}/functions", body)

    assert response.status == 400
    assert text in response.message


def test_deprecated_runtime_is_accepted_with_a_message(
    control: ControlProcess, namespace: dict[str, object]
) -> None:
    function = control.create_function(namespace["id"], "old", runtime="python39")

    assert function["runtime_message"] == "Python 3.9 is deprecated, please upgrade to Python >= 3.11"


def test_runtime_can_only_change_within_its_language(control: ControlProcess, namespace: dict[str, object]) -> None:
    function = control.create_function(namespace["id"], "polyglot")
    path = f"{API}/functions/{function['id']}"
    within = control.request("PATCH", path, {"runtime": "python313", "redeploy": False})
    across = control.request("PATCH", path, {"runtime": "node22", "redeploy": False})

    assert within.ok()["runtime"] == "python313"
    assert across.status == 400


def test_duplicate_name_in_a_namespace_is_rejected(control: ControlProcess, namespace: dict[str, object]) -> None:
    control.create_function(namespace["id"], "twice")
    again = control.request(
        "POST", f"{API}/functions", {"name": "twice", "namespace_id": namespace["id"], "runtime": "python311"}
    )

    assert (again.status, again.document) == (409, {"message": "Function already exist"})


def test_unknown_namespace_is_not_found(control: ControlProcess) -> None:
    body = {"name": "unknown", "namespace_id": str(uuid.uuid4()), "runtime": "python311"}
    response = control.request("POST", f"{API}/functions", body)

    assert (response.status, response.document) == (404, {"message": "Namespace was not found"})


def test_deleted_function_is_not_found(control: ControlProcess, namespace: dict[str, object]) -> None:
    function = control.create_function(namespace["id"], "deleted")
    control.upload(function["id"], zip_archive({"handler.py": f"# {uuid.uuid4()}\n"}))
    download = control.request("GET", f"{API}/functions/{function['id']}/download-url")
    control.request("DELETE", f"{API}/functions/{function['id']}").ok()
    wait_until(lambda: control.is_deleted("functions", function["id"]))
    again = control.request("DELETE", f"{API}/functions/{function['id']}")

    assert download.status == 200
    assert (again.status, again.document) == (404, {"message": "Function was not found"})


def test_variable_limit_includes_the_namespaces_variables(control: ControlProcess) -> None:
    full = control.create_namespace("full", environment_variables={f"N{n}": "" for n in range(60)})
    body = {
        "name": "variables",
        "namespace_id": full["id"],
        "runtime": "python311",
        "environment_variables": {f"F{n}": "" for n in range(141)},
    }
    response = control.request("POST", f"{API}/functions", body)

    assert response.status == 400
    assert "environment_variables" in response.message
