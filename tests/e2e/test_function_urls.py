"""Functions that call each other by the URLs in their variables, on a real platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.dev_session import dev_session
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.ports import free_port
from tests.support.project_tree import write_files

pytestmark = pytest.mark.slow

SETTINGS = """name = "languages"

[[function]]
name = "front"
runtime = "node24"
path = "front"
handler = "handler.handle"
env = { ORDERS_URL = { url_of = "orders" }, SELF_URL = { url_of = "front" } }
"""
FRONT = """
module.exports.handle = async (event) => {
  if (event.path === "/self") return "front itself";
  const orders = await (await fetch(process.env.ORDERS_URL + "new")).text();
  const self = await (await fetch(process.env.SELF_URL + "self")).text();
  return `front: ${orders}; ${self}`;
};
"""
ORDERS = """import os
from urllib.request import urlopen

from fnkit import function, url_of


def get(variable, path=""):
    with urlopen(os.environ[variable] + path, timeout=30) as response:
        return response.read().decode()


@function(env={"HEALTH_URL": url_of("health")})
def orders(event, context):
    return "orders" + event["path"] + ": " + get("HEALTH_URL", "check")


@function(env={"BACK_URL": url_of("orders")})
def health(event, context):
    return get("BACK_URL", "back") if event["path"] == "/loop" else "healthy" + event["path"]
"""


def python_project(name: str) -> dict[str, str]:
    """Return the files of a project whose two functions call each other."""
    return {"fnkit.toml": f'name = "{name}"\n', "main.py": ORDERS}


def domains(document: dict[str, object]) -> dict[str, str]:
    functions = document["functions"]
    assert isinstance(functions, list)
    return {str(one["name"]): str(one["domain"]) for one in functions}


def reasons(planned: dict[str, object]) -> dict[str, list[str]]:
    changes = planned["changes"]
    assert isinstance(changes, list)
    return {str(one["name"]): one["reasons"] for one in changes if one["kind"] == "function" and one["reasons"]}


@pytest.mark.long
def test_functions_of_two_languages_call_each_other_after_one_deploy(
    platform: PlatformUnderTest, project: Path
) -> None:
    write_files(
        project, {"fnkit.toml": SETTINGS, "main.py": ORDERS, "front/handler.js": FRONT, "front/package.json": "{}"}
    )
    fnkit = platform.command
    planned = fnkit("plan", "--local", "--json").ok().json()
    assert reasons(planned) == {
        "front": [
            "new",
            "variable ORDERS_URL: the URL of orders, known after it is created",
            "variable SELF_URL: the URL of front, known after it is created",
        ],
        "health": ["new", "variable BACK_URL: the URL of orders, known after it is created"],
        "orders": ["new", "variable HEALTH_URL: the URL of health, known after it is created"],
    }
    found = domains(fnkit("deploy", "--local", "--json").ok().json())
    answer = call_function(platform, found["front"])
    assert answer.text == "front: orders/new: healthy/check; front itself"
    assert call_function(platform, found["health"], "/loop").text == "orders/back: healthy/check"
    assert fnkit("plan", "--local", "--exit-code", "--refresh").code == 0
    assert fnkit("invoke", "orders", "--path", "/local").ok().stdout.strip() == "orders/local: healthy/check"


@pytest.mark.long
def test_saved_plan_carries_the_urls_that_are_not_known_yet(platform: PlatformUnderTest, project: Path) -> None:
    write_files(project, python_project("saved"))
    fnkit = platform.command
    fnkit("plan", "--local", "--out", "saved.json").ok()
    saved = json.loads((project / "saved.json").read_text())
    waiting = {one["name"]: one["function_urls"] for one in saved["changes"] if one["kind"] == "function"}
    assert waiting == {"health": {"BACK_URL": "orders"}, "orders": {"HEALTH_URL": "health"}}
    found = domains(fnkit("deploy", "--local", "--plan", "saved.json", "--json").ok().json())
    assert call_function(platform, found["orders"]).text == "orders/: healthy/check"
    assert fnkit("plan", "--local", "--exit-code").code == 0


@pytest.mark.long
def test_deploy_of_one_function_needs_the_other_one(platform: PlatformUnderTest, project: Path) -> None:
    write_files(project, python_project("single"))
    fnkit = platform.command
    failed = fnkit("deploy", "orders", "--local", "--json")
    assert failed.code == 2
    assert failed.json()["error"]["code"] == "url-of-not-deployed"
    assert failed.json()["error"]["hint"] == "Deploy them together: `fnkit deploy orders health`."
    status = fnkit("status", "--local", "--json").ok().json()["functions"]
    assert {one["status"] for one in status} == {"missing"}, "nothing was created"
    found = domains(fnkit("deploy", "orders", "health", "--local", "--json").ok().json())
    assert call_function(platform, found["orders"]).text == "orders/: healthy/check"
    (project / "main.py").write_text(ORDERS.replace('"orders" +', '"only orders" +'))
    fnkit("deploy", "orders", "--local").ok()
    assert call_function(platform, found["orders"]).text == "only orders/: healthy/check"


@pytest.mark.long
def test_function_that_changes_its_language_has_its_new_url_in_the_same_deploy(
    platform: PlatformUnderTest, project: Path
) -> None:
    write_files(project, python_project("replaced"))
    fnkit = platform.command
    fnkit("deploy", "--local").ok()
    table = '[[function]]\nname = "health"\nruntime = "node24"\npath = "health"\nhandler = "handler.handle"\n'
    write_files(
        project,
        {
            "fnkit.toml": f'name = "replaced"\n{table}',
            "main.py": ORDERS.partition('@function(env={"BACK_URL"')[0],
            "health/handler.js": 'module.exports.handle = () => "healthy in Node";\n',
            "health/package.json": "{}",
        },
    )
    planned = fnkit("plan", "--local", "--json").ok().json()
    assert "variable HEALTH_URL: the URL of health, known after it is created" in reasons(planned)["orders"]
    found = domains(fnkit("deploy", "--local", "--yes", "--json").ok().json())
    assert call_function(platform, found["orders"]).text == "orders/: healthy in Node"
    assert fnkit("plan", "--local", "--exit-code").code == 0


@pytest.mark.long
def test_moved_gateway_is_an_update_of_the_variables(tmp_path: Path, project: Path) -> None:
    write_files(project, python_project("moved"))
    with running_platform(tmp_path / "home") as platform:
        first = platform.gateway_url
        platform.command("deploy", "--local").ok()
    with running_platform(tmp_path / "home", "--gateway-port", str(free_port())) as platform:
        fnkit = platform.command
        planned = fnkit("plan", "--local", "--json").ok().json()
        assert platform.gateway_url != first
        assert reasons(planned) == {
            "health": ["variable BACK_URL changed"],
            "orders": ["variable HEALTH_URL changed"],
        }
        found = domains(fnkit("deploy", "--local", "--json").ok().json())
        assert call_function(platform, found["orders"]).text == "orders/: healthy/check"
        assert fnkit("plan", "--local", "--exit-code").code == 0


@pytest.mark.long
def test_only_functions_that_need_an_uncreated_one_fail(tmp_path: Path, project: Path) -> None:
    alone = "\n\n@function\ndef alone(event, context):\n    return 'alone'\n"
    needs = '\n\n@function(env={"A_URL": url_of("alone")})\ndef needs(event, context):\n    return get("A_URL")\n'
    write_files(project, {**python_project("uncreated"), "main.py": ORDERS + alone + needs})
    with running_platform(tmp_path / "home", "--quota", "functions=3") as platform:
        fnkit = platform.command
        fnkit("deploy", "alone", "needs", "--local").ok()
        failed = fnkit("deploy", "--local", "--json")
        assert failed.code == 1
        found = {one["name"]: one for one in failed.json()["functions"]}
        assert {found[name]["status"] for name in ("alone", "needs")} == {"ready"}
        errors = {name: found[name]["error"]["code"] for name in ("orders", "health")}
        assert "url-of-not-created" in errors.values()
        broken = next(name for name, code in errors.items() if code == "url-of-not-created")
        missing = {"orders": "health", "health": "orders"}[broken]
        assert f"{missing}, whose URL is the value of" in found[broken]["error"]["message"]
        assert found[broken]["error"]["hint"]
    with running_platform(tmp_path / "home", "--quota", "functions=9") as platform:
        fnkit = platform.command
        domain = domains(fnkit("deploy", "--local", "--json").ok().json())
        assert call_function(platform, domain["orders"]).text == "orders/: healthy/check"
        assert fnkit("plan", "--local", "--exit-code").code == 0


@pytest.mark.long
def test_functions_of_a_dev_session_call_each_other_after_a_reload_too(tmp_path: Path) -> None:
    project = write_files(tmp_path / "project", python_project("served"))
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        assert session.get("orders") == (200, "orders/: healthy/check")
        (project / "main.py").write_text(ORDERS.replace('"healthy"', '"well"'))
        session.wait_for("reloaded")
        assert session.get("orders") == (200, "orders/: well/check")
        (project / "main.py").write_text(ORDERS.replace('"HEALTH_URL"', '"OTHER_URL"'))
        session.wait_for("reloaded")
        assert session.get("orders") == (200, "orders/: healthy/check")


def test_local_invocation_prefers_given_urls_and_warns_of_missing_ones(fnkit: Command, project: Path) -> None:
    source = "import os\nfrom fnkit import function, url_of\n\n\n"
    source += '@function(env={"HEALTH_URL": url_of("health")})\ndef orders(event, context):\n'
    source += '    return os.environ.get("HEALTH_URL", "none")\n\n\n@function\ndef health(event, context): ...\n'
    write_files(project, {"fnkit.toml": 'name = "urls"\n', "main.py": source})
    unset = fnkit("invoke", "orders", "--stage", "preview").ok()
    assert unset.stdout.strip() == "none"
    assert "warning: HEALTH_URL is not set, because health does not run on the local platform." in unset.stderr
    assert "`fnkit deploy --stage preview --local`" in unset.stderr
    (project / ".env").write_text("HEALTH_URL=http://from.file/\n")
    from_file = fnkit("invoke", "orders").ok()
    assert (from_file.stdout.strip(), "warning" in from_file.stderr) == ("http://from.file/", False)
    given = fnkit("invoke", "orders", HEALTH_URL="http://given/").ok()
    assert (given.stdout.strip(), "warning" in given.stderr) == ("http://given/", False)
    assert "warning" not in fnkit("invoke", "health").ok().stderr
