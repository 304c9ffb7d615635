"""Variables that hold the URL of a function: from decorators and settings, merged by name, and validated."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.contract import limits
from fnkit.errors import ProjectInvalid
from fnkit.project import FunctionSpec
from tests.support.project_tree import build_files

APP = """from fnkit import function, url_of

@function(env={"LEVEL": "info", "HEALTH_URL": url_of("health")})
def orders(event, context): ...

@function
def health(event, context): ...
"""


def build(root: Path, settings: str, app: str = APP, stage: str = "", **files: str) -> dict[str, FunctionSpec]:
    project = build_files(root, {"fnkit.toml": f'name = "shop"\n{settings}', "app.py": app, **files}, stage=stage)
    return {function.name: function for function in project.functions}


def test_urls_are_apart_from_constants(tmp_path: Path) -> None:
    orders = build(tmp_path, "")["orders"]
    assert orders.env == {"LEVEL": "info"}
    assert orders.function_urls == {"HEALTH_URL": "health"}


@pytest.mark.parametrize(
    ("settings", "stage", "env", "urls"),
    [
        ("[defaults.env]\nX = { url_of = 'orders' }", "", {}, {"X": "orders", "HEALTH_URL": "health"}),
        ("[defaults.env]\nHEALTH_URL = 'http://x'", "", {}, {"HEALTH_URL": "health"}),
        ("[defaults.env]\nHEALTH_URL = { url_of = 'orders' }", "", {}, {"HEALTH_URL": "health"}),
        ("[defaults.env]\nLEVEL = { url_of = 'orders' }", "", {}, {"HEALTH_URL": "health"}),
        ("[stages.a.env]\nHEALTH_URL = 'http://x'", "a", {"HEALTH_URL": "http://x"}, {}),
        ("[stages.a.env]\nLEVEL = { url_of = 'orders' }", "a", {}, {"HEALTH_URL": "health", "LEVEL": "orders"}),
        ("[stages.a.defaults.env]\nX = { url_of = 'health' }", "a", {}, {"X": "health", "HEALTH_URL": "health"}),
        ("[stages.a.functions.orders.env]\nHEALTH_URL = 'x'", "a", {"HEALTH_URL": "x"}, {}),
        (
            "[stages.a.functions.orders.env]\nHEALTH_URL = 'x'\n[stages.a.env]\nHEALTH_URL = {url_of='orders'}",
            *("a", {}, {"HEALTH_URL": "orders"}),
        ),
        ("[stages.a.env]\nHEALTH_URL = 'http://x'", "", {}, {"HEALTH_URL": "health"}),
    ],
)
def test_a_later_layer_replaces_a_variable_of_either_kind(
    tmp_path: Path, settings: str, stage: str, env: dict[str, str], urls: dict[str, str]
) -> None:
    orders = build(tmp_path, settings, stage=stage)["orders"]
    assert orders.env == ({} if "LEVEL" in urls else {"LEVEL": "info"}) | env
    assert orders.function_urls == urls


def test_a_function_in_settings_refers_to_itself_and_to_a_decorated_one(tmp_path: Path) -> None:
    settings = (
        '[[function]]\nname = "web"\nruntime = "node22"\npath = "web"\nhandler = "handler.handle"\n'
        'env = { SELF = { url_of = "web" }, ORDERS = { url_of = "orders" }, LEVEL = "x" }\n'
    )
    app = APP.replace('url_of("health")', 'url_of("web")')
    files = {"web/handler.js": "module.exports.handle = () => 1", "web/package.json": "{}"}
    functions = build(tmp_path, settings, app, **files)
    assert functions["web"].function_urls == {"SELF": "web", "ORDERS": "orders"}
    assert functions["web"].env == {"LEVEL": "x"}
    assert functions["orders"].function_urls == {"HEALTH_URL": "web"}


@pytest.mark.parametrize(
    ("settings", "app", "place", "message", "hint"),
    [
        ("", APP.replace('url_of("health")', 'url_of("helth")'), "app.py:3", "'helth'", "Did you mean health?"),
        ("", APP.replace('url_of("health")', 'url_of("")'), "app.py:3", "URL of ''", "orders, health"),
        (
            "",
            APP.replace("@function(env={", "@function(memory=256,\n env={").replace('of("health")', 'of("zz")'),
            *("app.py:4", "HEALTH_URL is the URL of 'zz'", "The functions of this project are: orders, health."),
        ),
        ("[defaults]\nenv = { A = 'x', U = { url_of = 'order' } }", APP, "fnkit.toml:3", "U is", "orders?"),
        ("[defaults.env]\nA = 'x'\nU = { url_of = 'order' }", APP, "fnkit.toml:4", "U is", "orders?"),
        ("[stages.a.env]\nU = { url_of = 'order' }", APP, "fnkit.toml:3", "U is", "orders?"),
        ("[stages.a.defaults.env]\nU = { url_of = 'order' }", APP, "fnkit.toml:3", "U is", "orders?"),
        ("[stages.a.functions.orders.env]\nU = { url_of = 'order' }", APP, "fnkit.toml:3", "U is", "orders?"),
    ],
)
def test_an_unknown_function_is_a_problem_with_its_place(
    tmp_path: Path, settings: str, app: str, place: str, message: str, hint: str
) -> None:
    with pytest.raises(ProjectInvalid) as caught:
        build(tmp_path, settings, app)
    (problem,) = caught.value.problems
    assert (problem.code, f"{problem.file}:{problem.line}") == ("unknown-function", place)
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert problem.column is None, "other values of env may be secret, so the line is not shown"


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ("[defaults.env]\nU = { url_off = 'health' }", "unknown-setting", "defaults.env.U.url_off"),
        ("[defaults.env]\nU = { url_of = 3 }", "setting-type", "expected a string, got a whole number"),
        ("[defaults.env]\nU = { url_of = 'health', x = 1 }", "unknown-setting", "defaults.env.U.x"),
        ("[defaults.env]\nU = {}", "setting-missing", "defaults.env.U.url_of is missing"),
        ("[defaults.env]\nU = ['health']", "setting-type", "expected a string or a table, got a list"),
        ("[defaults.env]\nPORT = { url_of = 'health' }", "reserved-variable", "PORT is reserved"),
        ("[defaults.env]\n'A-B' = { url_of = 'health' }", "variable-name", "'A-B' is not a valid variable name"),
        (
            "[defaults]\nsecrets = ['U']\nenv = { U = { url_of = 'health' } }",
            *("variable-twice", "U is both a variable and a secret"),
        ),
        ("[namespace.env]\nU = { url_of = 'health' }", "setting-type", "namespace.env.U: expected a string"),
    ],
)
def test_bad_settings_are_problems(tmp_path: Path, settings: str, code: str, message: str) -> None:
    with pytest.raises(ProjectInvalid) as caught:
        build(tmp_path, settings)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert message in problem.message
    if "namespace" in settings:
        assert "the env of a function or of defaults" in (problem.hint or "")


def test_urls_count_as_variables(tmp_path: Path) -> None:
    urls = "".join(f"V{number} = {{ url_of = 'health' }}\n" for number in range(limits.ENVIRONMENT_MAX_ENTRIES))
    with pytest.raises(ProjectInvalid) as caught:
        build(tmp_path, f"[defaults.env]\n{urls}")
    assert {problem.code for problem in caught.value.problems} == {"too-many-variables"}
    assert (
        f"orders and its namespace have {limits.ENVIRONMENT_MAX_ENTRIES + 2} variables"
        in caught.value.problems[0].message
    )


def test_conflicting_decorators_are_a_problem(tmp_path: Path) -> None:
    app = APP.replace("@function\ndef", '@function(env={"U": "x"})\n@function(env={"U": url_of("orders")})\ndef')
    with pytest.raises(ProjectInvalid) as caught:
        build(tmp_path, "", app)
    assert [problem.code for problem in caught.value.problems] == ["conflicting-declarations"]
