"""Building the project model from settings and handlers: defaults, precedence and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.project import CronSpec, FunctionSpec, build_project, read_settings
from fnkit.project.model import NamespaceSpec, SourceLocation, TriggerSpec
from fnkit.scanner import scan
from tests.support.project_tree import HANDLER, SETTINGS, build_files, write_files

APP = """from fnkit import cron, function, trigger

@cron("*/5 * * * *", args={"full": False})
@trigger(nats="orders.created")
@trigger(sqs="jobs", name="work")
@function(env={"LEVEL": "info", "OWN": "1"}, secrets=["KEY"], tags=["team=a"])
def clean_up(event, context):
    '''Remove what is old.'''
"""


GO_HANDLER = "package web\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n"
RUST_HANDLER = "pub async fn handle(request: Request<Body>) -> Response<Body> {}\n"


def single_function(root: Path, files: dict[str, str], **options: str) -> FunctionSpec:
    (function,) = build_files(root, files, stage=options.get("stage", "")).functions
    return function


def test_defaults_are_those_of_the_platform(tmp_path: Path) -> None:
    assert single_function(tmp_path, {"app.py": HANDLER}) == FunctionSpec(
        name="hello",
        runtime="python311",
        handler="app.hello",
        source=SourceLocation("app.py", 3),
        memory=256,
        min_scale=0,
        max_scale=5,
        timeout=300 * 10**9,
        privacy="public",
        http_option="enabled",
        sandbox="v2",
        description="",
        env={},
        secrets=(),
        tags=(),
        domains=(),
        private_network_id="",
        crons=(),
        triggers=(),
        change_detection="function",
        preload=True,
        root=".",
    )


def trigger(name: str, kind: str, address: str, *, line: int) -> TriggerSpec:
    return TriggerSpec(
        name=name,
        kind=kind,
        address=address,
        description="",
        account=None,
        project_id=None,
        region=None,
        source=SourceLocation("h/app.py", line),
    )


def test_crons_triggers_and_settings_of_a_handler_are_in_the_model(tmp_path: Path) -> None:
    function = single_function(tmp_path, {"h/app.py": APP})
    assert (function.name, function.handler, function.description) == (
        "clean-up",
        "h/app.clean_up",
        "Remove what is old.",
    )
    assert function.crons == (
        CronSpec(name="cron-1", schedule="*/5 * * * *", args={"full": False}, source=SourceLocation("h/app.py", 3)),
    )
    assert function.triggers == (
        trigger("nats-orders-created", "nats", "orders.created", line=4),
        trigger("work", "sqs", "jobs", line=5),
    )


SETTINGS_WITH_STAGE = """
name = "shop"
region = "fr-par"
[defaults]
memory = 512
max_scale = 9
env = { LEVEL = "default", BASE = "b" }
secrets = ["ALL"]
[stages.prod]
region = "nl-ams"
env = { LEVEL = "prod" }
secrets = ["PROD_KEY"]
[stages.prod.defaults]
max_scale = 20
runtime = "python313"
[stages.prod.functions.clean-up]
memory = 1024
timeout = 60
"""


def test_stage_overrides_function_and_function_overrides_defaults(tmp_path: Path) -> None:
    files = {"app.py": APP, "fnkit.toml": SETTINGS_WITH_STAGE}
    base, prod = single_function(tmp_path, files), single_function(tmp_path, files, stage="prod")
    assert (base.memory, base.max_scale, base.runtime) == (512, 9, "python311")
    assert base.env == {"LEVEL": "info", "BASE": "b", "OWN": "1"}
    assert base.secrets == ("ALL", "KEY")
    assert (prod.memory, prod.max_scale, prod.timeout, prod.runtime) == (1024, 20, 60 * 10**9, "python313")
    assert prod.env == {"LEVEL": "prod", "BASE": "b", "OWN": "1"}
    assert prod.secrets == ("ALL", "KEY", "PROD_KEY")


def test_stage_has_its_own_namespace_and_region(tmp_path: Path) -> None:
    files = {"app.py": APP, "fnkit.toml": SETTINGS_WITH_STAGE}
    base, prod = build_files(tmp_path, files), build_files(tmp_path, files, stage="prod")
    assert (base.namespace.name, base.region, base.stage) == ("shop", "fr-par", "")
    assert (prod.namespace.name, prod.region, prod.stage) == ("shop-prod", "nl-ams", "prod")
    assert [one.name for one in prod.functions] == [one.name for one in base.functions]


def test_change_detection_can_be_set_by_defaults_decorator_and_stage(tmp_path: Path) -> None:
    settings = (
        'name = "shop"\n[defaults]\nchange_detection = "project"\n'
        '[stages.prod.functions.own]\nchange_detection = "project"\n'
    )
    app = (
        "from fnkit import function\n"
        "@function\ndef usual(event, context): ...\n"
        "@function(change_detection='function')\ndef own(event, context): ...\n"
    )
    files = {"app.py": app, "fnkit.toml": settings}
    for stage, expected in (("", "function"), ("prod", "project")):
        found = {one.name: one.change_detection for one in build_files(tmp_path, files, stage=stage).functions}
        assert found == {"usual": "project", "own": expected}


@pytest.mark.parametrize(
    ("settings", "namespace"),
    [
        ("", "shop"),
        ('namespace = "store"', "store"),
        ('[namespace]\nname = "store"\nshared = true', "store"),
        ('[namespace]\ndescription = "d"', "shop"),
    ],
)
def test_namespace_is_a_name_or_a_table(tmp_path: Path, settings: str, namespace: str) -> None:
    project = build_files(tmp_path, {"app.py": HANDLER, "fnkit.toml": SETTINGS + settings})
    assert isinstance(project.namespace, NamespaceSpec)
    assert project.namespace.name == namespace
    assert project.namespace.shared is ("shared" in settings)


def test_namespace_name_is_derived_from_the_project_name(tmp_path: Path) -> None:
    assert build_files(tmp_path, {"fnkit.toml": 'name = "My_Shop.eu"'}).namespace.name == "my-shop-eu"


@pytest.mark.parametrize(
    ("host", "available", "runtime"),
    [
        ((3, 12), None, "python312"),
        ((3, 10), None, "python314"),
        ((3, 99), None, "python314"),
        ((3, 12), frozenset({"python311", "python39", "node24"}), "python311"),
        ((3, 15), frozenset({"python315", "python314"}), "python315"),
        ((3, 11), frozenset({"python315", "python314"}), "python315"),
    ],
)
def test_default_runtime_matches_this_python_or_is_the_newest(
    tmp_path: Path, host: tuple[int, int], available: frozenset[str] | None, runtime: str
) -> None:
    project = build_files(tmp_path, {"app.py": HANDLER}, host_python=host, available=available)
    assert [function.runtime for function in project.functions] == [runtime]


@pytest.mark.parametrize(
    ("requires", "host", "runtime"),
    [
        (">=3.11", (3, 12), "python312"),
        (">=3.13", (3, 12), "python314"),
        ("<3.13", (3, 99), "python312"),
        (">=3.13.4,<3.14", (3, 11), "python313"),
        ("==3.13.*", (3, 11), "python313"),
        (">=4", (3, 12), "python312"),
        ("nonsense", (3, 12), "python312"),
    ],
)
def test_default_runtime_is_one_that_the_project_supports(
    tmp_path: Path, requires: str, host: tuple[int, int], runtime: str
) -> None:
    settings = f'[project]\nname = "shop"\nrequires-python = "{requires}"\n[tool.fnkit]\n'
    project = build_files(tmp_path, {"app.py": HANDLER, "pyproject.toml": settings}, host_python=host)
    assert [function.runtime for function in project.functions] == [runtime]


@pytest.mark.parametrize(
    ("deployed", "defaults", "expected"),
    [
        ("python313", "", "python313"),  # although the host has another one
        ("python310", "", "python310"),  # its end of support is over, but not that of updates
        ("python37", "", "python312"),  # updates are refused
        ("node24", "", "python312"),  # another function has had this name
        ("python313", '[defaults]\nruntime = "python314"\n', "python314"),
    ],
)
def test_deployed_function_keeps_its_runtime(tmp_path: Path, deployed: str, defaults: str, expected: str) -> None:
    write_files(tmp_path, {"app.py": HANDLER, "fnkit.toml": f'name = "shop"\n{defaults}'})
    report = scan(tmp_path, [tmp_path / "app.py"])
    project = build_project(
        tmp_path, read_settings(tmp_path), report, host_python=(3, 12), deployed={"hello": deployed}
    )
    assert [function.runtime for function in project.functions] == [expected]


@pytest.mark.parametrize(
    ("table", "files", "handler"),
    [
        ('runtime = "node24"\npath = "web"', {"web/handler.js": "exports.handle = () => 1"}, "handler.handle"),
        ('runtime = "node24"\npath = "./web/"\nhandler = "src/x.go"',
         {"web/src/x.mjs": "export const go = 1"}, "src/x.go"),
        ('runtime = "php84"\npath = "web"',
         {"web/handler.php": "<?php function handle($event, $context) {}"}, "handler.handle"),
        ('runtime = "go126"\npath = "web"', {"web/go.mod": "", "web/a.go": GO_HANDLER}, "Handle"),
        ('runtime = "go126"\npath = "web"\nhandler = "sub/Handle"',
         {"web/sub/go.mod": "", "web/sub/a.go": GO_HANDLER}, "sub/Handle"),
        ('runtime = "rust196"\npath = "web"', {"web/Cargo.toml": "", "web/src/lib.rs": RUST_HANDLER}, "handle"),
        ('runtime = "rust196"\npath = "web"',
         {"web/Cargo.toml": "[lib]\npath = 'src/handler.rs'", "web/src/handler.rs": RUST_HANDLER}, "handle"),
        ('runtime = "python313"\nhandler = "old/code.run"', {"old/code.py": "def run(event, context): ..."},
         "old/code.run"),
    ],
)  # fmt: skip
def test_functions_without_decorators_are_read_from_settings(
    tmp_path: Path, table: str, files: dict[str, str], handler: str
) -> None:
    settings = f"""{SETTINGS}
[[function]]
name = "web"
memory = 1024
{table}
[[function.crons]]
schedule = "0 0 * * *"
[[function.triggers]]
sqs = "jobs"
"""
    function = single_function(tmp_path, {"fnkit.toml": settings, **files})
    assert (function.name, function.memory, function.handler) == ("web", 1024, handler)
    assert function.root == ("." if "python" in table else "web")
    assert [(cron.name, cron.source.line) for cron in function.crons] == [("cron-1", settings.splitlines().index("[[function.crons]]") + 1)]  # fmt: skip  # noqa: E501 - one value
    assert [trigger.name for trigger in function.triggers] == ["sqs-jobs"]
    assert function.source.file == "fnkit.toml"


def test_functions_are_sorted_by_name(tmp_path: Path) -> None:
    project = build_files(
        tmp_path, {"a.py": HANDLER.replace("hello", "zebra"), "b.py": HANDLER.replace("hello", "ant")}
    )
    assert [function.name for function in project.functions] == ["ant", "zebra"]


def test_derived_trigger_names_are_unique_and_limited_in_length(tmp_path: Path) -> None:
    addresses = ("a.b", "a.*", "a.>", "a-b.*", "x" * 100)
    source = "from fnkit import trigger\n" + "".join(f"@trigger(nats={one!r})\n" for one in addresses)
    function = single_function(tmp_path, {"app.py": source + "def hello(event, context): ...\n"})
    names = [trigger.name for trigger in function.triggers]
    assert names[0] == "nats-a-b"
    assert len(set(names)) == len(addresses)
    assert max(map(len, names)) <= 50
