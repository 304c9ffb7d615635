"""Every problem that a project can have, with its code and location."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.contract.names import function_name_error
from tests.support.error_codes import error_codes
from tests.support.problem_explanations import PROBLEMS
from tests.support.project_tree import HANDLER, SETTINGS, locations, problems_of


def app(arguments: str = "", signature: str = "def hello(event, context): ...") -> str:
    return f"from fnkit import cron, function, trigger\n\n@function({arguments})\n{signature}\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("name='Orders'", "bad-name"),
        ("name=''", "bad-name"),
        ("name='a' * 35", "bad-name"),
        ("runtime='python31'", "unknown-runtime"),
        ("runtime='python310'", "runtime-retired"),
        ("runtime='python37'", "runtime-retired"),
        ("runtime='node24'", "runtime-language"),
        ("memory=300", "bad-memory"),
        ("memory=-1", "bad-memory"),
        ("memory=8192", "bad-memory"),
        ("min_scale=-1", "bad-scale"),
        ("max_scale=0", "bad-scale"),
        ("max_scale=51", "bad-scale"),
        ("min_scale=60", "bad-scale"),
        ("min_scale=6, max_scale=5", "bad-scale"),
        ("timeout=9", "bad-timeout"),
        ("timeout='61m'", "bad-timeout"),
        ("timeout=3601", "bad-timeout"),
        ("timeout='soon'", "bad-timeout"),
        ("timeout=1e400 - 1e400", "bad-timeout"),
        ("privacy='secret'", "bad-choice"),
        ("http_option='off'", "bad-choice"),
        ("sandbox='v3'", "bad-choice"),
        ("change_detection='file'", "bad-choice"),
        ("env={'PORT': '1'}", "reserved-variable"),
        ("env={'SCW_NAMESPACE_ID': '1'}", "reserved-variable"),
        ("secrets=['SCW_PUBLIC_KEY']", "reserved-variable"),
        ("env={'1A': 'x'}", "variable-name"),
        ("env={'A-B': 'x'}", "variable-name"),
        ("secrets=['']", "variable-name"),
        ("env={'A': 'x' * 65537}", "variable-too-long"),
        ("env={'A': 'x\\0'}", "variable-value"),
        ("env={'A': 'x'}, secrets=['A']", "variable-twice"),
        ("tags=['fnkit']", "reserved-tag"),
        ("tags=['FnKit.code=1']", "reserved-tag"),
        ("tags=['a b']", "bad-tag"),
        ("tags=['a' * 65]", "bad-tag"),
        ("domains=['localhost']", "bad-domain"),
        ("domains=['https://a.b']", "bad-domain"),
        ("domains=['*.a.b']", "bad-domain"),
        ("domains=['A.example.com']", "bad-domain"),
        ("domains=['1.2.3.4']", "bad-domain"),
        ("domains=['-a.example.com']", "bad-domain"),
        ("domains=['a.example.com', 'a.example.com']", "duplicate-domain"),
        ("domains=['a%d.example.com' % 1] * 51", "too-many-domains"),
        ("private_network_id='main'", "bad-private-network"),
    ],
)
def test_invalid_setting_is_reported_at_its_argument(tmp_path: Path, arguments: str, code: str) -> None:
    problems = problems_of(tmp_path, {"app.py": app(arguments)})
    assert f"{code} app.py:3" in locations(problems)
    assert all(problem.code == code or "domain" in code for problem in problems)


@pytest.mark.parametrize(
    "arguments",
    [
        "secrets=['SCW_SECRET_KEY', 'SCW_ACCESS_KEY']",
        "env={'SCW_DEFAULT_REGION': 'fr-par', 'SCW_ALLOW_FAVICON': 'true'}",
        "runtime='python39'",
        "name='a' * 34",
        "env={'A': 'x' * 65536}",
        "timeout=10",
        "timeout='1h'",
        "min_scale=50",
        "memory=4096",
        "domains=['shop.example.com', 'xn--bcher-kva.example']",
        "private_network_id='8b9efc3d-f37b-4fad-af1a-71f11ca8243a'",
    ],
)
def test_valid_setting_has_no_problem(tmp_path: Path, arguments: str) -> None:
    assert problems_of(tmp_path, {"app.py": app(arguments)}) == ()


@pytest.mark.parametrize(
    ("decorator", "code"),
    [
        ("@cron('61 * * * *')", "bad-schedule"),
        ("@cron('@daily')", "bad-schedule"),
        ("@cron('* * * * *', args={'a': {1, 2}})", "bad-cron-args"),
        ("@cron('* * * * *', args={'a': 1e999})", "bad-cron-args"),
        ("@cron('* * * * *', args={'a': 'x' * 99999, 'b': ['y' * 99999] * 99})", "bad-cron-args"),
        ("@cron('* * * * *', name='')", "bad-name"),
        ("@cron('* * * * *', name='a')\n@cron('5 * * * *', name='a')", "duplicate-cron"),
        ("@cron('* * * * *', name='cron-1')\n@cron('5 * * * *')", "duplicate-cron"),
        ("@trigger()", "bad-trigger"),
        ("@trigger(nats='a', sqs='b')", "bad-trigger"),
        ("@trigger(sqs='https://sqs/queue')", "bad-trigger"),
        ("@trigger(sqs='q' * 101)", "bad-trigger"),
        ("@trigger(nats='a..b')", "bad-trigger"),
        ("@trigger(nats='a.>.b')", "bad-trigger"),
        ("@trigger(nats='')", "bad-trigger"),
        ("@trigger(nats='s' * 101)", "bad-trigger"),
        ("@trigger(nats='a', name='x' * 51)", "bad-name"),
        ("@trigger(nats='a', name='a_b')", "bad-name"),
        ("@trigger(nats='a', description='d' * 256)", "bad-trigger"),
        ("@trigger(nats='a', account='short')", "bad-trigger"),
        ("@trigger(sqs='a', account='A' * 56)", "bad-trigger"),
        ("@trigger(sqs='a', project_id='p')", "bad-trigger"),
        ("@trigger(sqs='a', region='fr-pra')", "bad-region"),
        ("@trigger(sqs='a')\n@trigger(sqs='a')", "duplicate-trigger"),
    ],
)
def test_invalid_cron_or_trigger_is_reported_at_its_decorator(tmp_path: Path, decorator: str, code: str) -> None:
    source = f"from fnkit import cron, trigger\n{decorator}\ndef hello(event, context): ...\n"
    line = 1 + source.count("\n@")
    assert locations(problems_of(tmp_path, {"app.py": source})) == [f"{code} app.py:{line}"]


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ("def hello(event, context, more): ...", "handler-signature"),
        ("def hello(event, context, *, key): ...", "handler-signature"),
        ("def hello(name: str, **rest: str): ...", "handler-signature"),
        ("def hello(name: str, *rest: str): ...", "handler-signature"),
        ("def hello(event, context): yield 1", "handler-generator"),
        ("async def hello(event, context): yield 1", "handler-generator"),
    ],
)
def test_uncallable_handler_is_reported(tmp_path: Path, signature: str, code: str) -> None:
    assert locations(problems_of(tmp_path, {"app.py": app(signature=signature)})) == [f"{code} app.py:4"]


def test_each_parameter_without_a_type_is_reported(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, {"app.py": app(signature="async def hello(a, b: int, c, event): ...")})
    assert [one.message for one in problems] == [
        f"hello: the parameter {name} has no type, so it is no part of a request." for name in "ac"
    ]


def test_typed_handler_needs_a_runtime_with_the_adapters(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, {"app.py": app("runtime='python39'", "def hello(name: str): ...")})
    assert "runtime-too-old" in [one.code for one in problems]


@pytest.mark.parametrize(
    ("settings", "files", "place"),
    [
        ("[defaults]\nmemory = 300", {"a.py": HANDLER}, "bad-memory fnkit.toml:3"),
        ("[defaults]\ntimeout = nan", {"a.py": HANDLER}, "bad-timeout fnkit.toml:3"),
        ("[defaults]\nruntime = 'go126'", {"a.py": HANDLER}, "runtime-language fnkit.toml:3"),
        ("[defaults.env]\nPORT = '1'", {"a.py": HANDLER}, "reserved-variable fnkit.toml:2"),
        ("[stages.prod.defaults]\nmemory = 1", {"a.py": HANDLER}, "bad-memory fnkit.toml:3"),
        ("[stages.prod.functions.hello]\nmemory = 1", {"a.py": HANDLER}, "bad-memory fnkit.toml:3"),
        ("[stages.prod.functions.helo]\nmemory = 128", {"a.py": HANDLER}, "unknown-function fnkit.toml:2"),
        ("[stages.prod]\nregion = 'x'", {}, "bad-region fnkit.toml:2"),
        ("[stages.'Prod!']\n", {}, "bad-stage fnkit.toml:2"),
        ("region = 'fr'", {}, "bad-region fnkit.toml:2"),
        ("namespace = 'My Space'", {}, "bad-name fnkit.toml:2"),
        ("[namespace]\nshared = true", {}, "bad-name fnkit.toml:2"),
        ("[namespace]\nname = 'x'\nshared = true\nenv = {A = '1'}", {}, "shared-namespace fnkit.toml:2"),
        ("[namespace]\ntags = ['fnkit']", {}, "reserved-tag fnkit.toml:3"),
        ("[[function]]\nname = 'x'", {}, "setting-missing fnkit.toml:2"),
        ("[[function]]\nname = 'x'\nruntime = 'node42'", {}, "unknown-runtime fnkit.toml:4"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'", {}, "handler-missing fnkit.toml:2"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\nmemory = 5",
         {"handler.js": "exports.handle = 1"}, "bad-memory fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\nhandler = 'a'", {"a.js": ""}, "bad-handler fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\nhandler = 'a.b.c'", {}, "bad-handler fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\npath = '../y'", {}, "bad-path fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\npath = '/etc'", {}, "bad-path fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\npath = 'y'", {}, "handler-missing fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'go126'\nhandler = 'do'", {"go.mod": ""}, "bad-handler fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'go126'", {}, "handler-missing fnkit.toml:2"),
        ("[[function]]\nname = 'x'\nruntime = 'rust196'", {"Cargo.toml": ""}, "handler-missing fnkit.toml:2"),
        ("[[function]]\nname = 'x'\nruntime = 'rust196'", {"Cargo.toml": "["}, "bad-handler fnkit.toml:2"),
        ("[[function]]\nname = 'x'\nruntime = 'python313'\nhandler = 'a.b'", {"a.py": ""},
         "handler-missing fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\nbuild_output = 'dist'",
         {"handler.js": "exports.handle = 1"}, "bad-build fnkit.toml:2"),
        ("[[function]]\nname = 'x'\nruntime = 'node24'\nbuild = 'make'\nbuild_output = '../dist'",
         {"handler.js": "exports.handle = 1"}, "bad-path fnkit.toml:6"),
        ("[[function]]\nname = 'x'\nruntime = 'python313'\npath = 'p'", {"p/a.py": ""}, "bad-path fnkit.toml:5"),
        ("[[function]]\nname = 'x'\nruntime = 'go126'\n[[function.crons]]\nschedule = 'x'",
         {"go.mod": "", "a.go": "package a\nfunc Handle() {}"}, "bad-schedule fnkit.toml:6"),
    ],
)  # fmt: skip
def test_invalid_value_in_settings_is_reported_once_with_its_line(
    tmp_path: Path, settings: str, files: dict[str, str], place: str
) -> None:
    everything = {"fnkit.toml": SETTINGS + settings, "b.py": HANDLER.replace("hello", "other"), **files}
    assert locations(problems_of(tmp_path, everything, stage="prod" if "prod" in settings else "")) == [place]


PYTHON_FUNCTION = "[[function]]\nname = 'x'\nruntime = 'python313'\nhandler = 'a.run'"


@pytest.mark.parametrize(
    "source",
    [
        "def run(event, context): ...",
        "class run: ...",
        "run = print",
        "from b import run",
        "import b as run",
        "from b import *",
        "if True:\n    def run(event, context): ...",
        "for run in [print]: ...",
        "try:\n    from b import run\nexcept ImportError:\n    run = None",
        "def prepare():\n    global run\n    run = print\nprepare()",
        "syntax error",
    ],
)
def test_handler_in_settings_may_be_any_module_level_name(tmp_path: Path, source: str) -> None:
    assert problems_of(tmp_path, {"fnkit.toml": SETTINGS + PYTHON_FUNCTION, "a.py": source}) == ()


@pytest.mark.parametrize(
    "source",
    [
        "def other():\n    run = 1",
        "def other():\n    def run(event, context): ...",
        "def other():\n    from b import run",
        "class Other:\n    def run(self): ...",
        "[run for run in [print]]",
        "print(run)",
    ],
)
def test_name_of_an_inner_scope_is_not_a_handler(tmp_path: Path, source: str) -> None:
    problems = problems_of(tmp_path, {"fnkit.toml": SETTINGS + PYTHON_FUNCTION, "a.py": source})
    assert locations(problems) == ["handler-missing fnkit.toml:5"]


def test_memory_hint_names_the_next_or_the_largest_tier(tmp_path: Path) -> None:
    for memory, end in ((300, "the next one is 512."), (8192, "the largest is 4096.")):
        (problem,) = problems_of(tmp_path, {"a.py": app(f"memory={memory}")})
        assert problem.hint is not None
        assert problem.hint.endswith(end)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    files = {
        "fnkit.toml": SETTINGS + "region = 'x'\n",
        "a.py": app("memory=1, timeout=1"),
        "b.py": app("memory=X"),
        "requirements.txt": "-e .\n",
    }
    assert locations(problems_of(tmp_path, files)) == [
        "bad-memory a.py:3",
        "bad-timeout a.py:3",
        "computed-argument b.py:3",
        "duplicate-name b.py:4",
        "bad-region fnkit.toml:2",
        "requirement-option requirements.txt:1",
    ]


def test_duplicate_function_name_is_reported_with_both_locations(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, {"a.py": HANDLER, "b.py": HANDLER})
    assert (problem.code, problem.file, problem.line) == ("duplicate-name", "b.py", 3)
    assert "a.py:3" in problem.message


def test_duplicate_hostname_is_reported_with_both_locations(tmp_path: Path) -> None:
    one, two = app("domains=['a.example.com']"), app("name='two', domains=['a.example.com']")
    (problem,) = problems_of(tmp_path, {"a.py": one, "b.py": two})
    assert (problem.code, problem.file) == ("duplicate-domain", "b.py")
    assert "a.py:4" in problem.message


def test_contradicting_decorators_are_reported(tmp_path: Path) -> None:
    source = (
        "from fnkit import function\n@function(memory=128, env={'A': '1'})\n@function(memory=256, env={'A': '2'})\n"
    )
    problems = problems_of(tmp_path, {"a.py": source + "def hello(event, context): ...\n"})
    assert locations(problems) == ["conflicting-declarations a.py:3"] * 2


def test_function_can_have_fifty_domains(tmp_path: Path) -> None:
    hosts = [f"a{n}.example.com" for n in range(51)]
    assert problems_of(tmp_path, {"app.py": app(f"domains={hosts[:50]}")}) == ()
    assert locations(problems_of(tmp_path, {"app.py": app(f"domains={hosts}")})) == ["too-many-domains app.py:3"]


@pytest.mark.parametrize(
    "decorator",
    [
        "@trigger(sqs='q' * 100)",
        "@trigger(nats='s' * 100)",
        "@trigger(nats='a', name='x')",
        "@trigger(nats='a', name='x' * 50)",
        "@trigger(nats='a', description='d' * 255)",
    ],
)
def test_trigger_within_the_limits_has_no_problem(tmp_path: Path, decorator: str) -> None:
    source = f"from fnkit import trigger\n{decorator}\ndef hello(event, context): ...\n"
    assert problems_of(tmp_path, {"app.py": source}) == ()


def test_variable_limit_covers_function_and_namespace_together(tmp_path: Path) -> None:
    inner = "env={f'A{0}': '1', **{" + ", ".join(f"'B{n}': '1'" for n in range(159)) + "}}"
    outer = SETTINGS + "[namespace.env]\n" + "".join(f"C{n} = '1'\n" for n in range(40))
    files = {"fnkit.toml": outer, "a.py": app(inner)}
    assert problems_of(tmp_path, files) == ()
    files["fnkit.toml"] += "D = '1'\n"
    assert locations(problems_of(tmp_path, files)) == ["too-many-variables a.py:4"]


def test_secret_limit_covers_function_and_namespace_together(tmp_path: Path) -> None:
    names = [f"S{n}" for n in range(201)]
    files = {
        "fnkit.toml": f"{SETTINGS}[namespace]\nsecrets = {names[100:200]}\n",
        "a.py": app(f"secrets={names[:100]}"),
    }
    assert problems_of(tmp_path, files) == ()
    files["fnkit.toml"] = f"{SETTINGS}[namespace]\nsecrets = {names[100:]}\n"
    assert locations(problems_of(tmp_path, files)) == ["too-many-variables a.py:4"]


def test_syntax_newer_than_this_python_has_its_own_code(tmp_path: Path) -> None:
    files = {"fnkit.toml": SETTINGS + "[defaults]\nruntime = 'python314'", "a.py": "import fnkit\ntype X = \n"}
    assert locations(problems_of(tmp_path, files, host_python=(3, 11))) == ["syntax-newer-than-host a.py:2"]
    assert locations(problems_of(tmp_path, files, host_python=(3, 14))) == ["syntax-error a.py:2"]


def test_runtime_unavailable_on_the_target_is_reported(tmp_path: Path) -> None:
    files = {"a.py": app("runtime='python314'")}
    available = frozenset({"python311", "python312"})
    assert locations(problems_of(tmp_path, files, available=available)) == ["runtime-unavailable a.py:3"]


def test_runtime_of_a_function_that_is_not_deployed_need_not_be_available(tmp_path: Path) -> None:
    files = {"a.py": app("name='a', runtime='python314'")}
    available = frozenset({"python311"})
    assert problems_of(tmp_path, files, available=available, needed=frozenset({"b"})) == ()
    assert len(problems_of(tmp_path, files, available=available, needed=frozenset({"a"}))) == 1


def test_retired_runtime_available_on_the_target_is_valid(tmp_path: Path) -> None:
    files = {"a.py": app("runtime='python310'")}
    assert problems_of(tmp_path, files, available=frozenset({"python310"})) == ()


@pytest.mark.parametrize("stage", ["Prod", "-a", "a" * 17, "a_b", "a/b"])
def test_stage_name_must_be_valid_in_a_namespace_name(tmp_path: Path, stage: str) -> None:
    assert "bad-stage" in [one.code for one in problems_of(tmp_path, {}, stage=stage)]


def test_derived_function_name_must_be_valid(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, {"a.py": app(signature="def _hidden(event, context): ...")})
    assert problem.code == "bad-name"
    assert function_name_error("-hidden") is not None


SHARED_CODES = {"no-settings"}
"""Codes of errors that are raised directly, not collected as problems."""


def test_every_raised_code_is_explained() -> None:
    packages = ("fnkit/project/", "fnkit/scanner/")
    raised = {one.code for one in error_codes() if one.location.startswith(packages)}
    # duplicate-<kind> is formatted with the kind.
    raised = {code for code in raised if "…" not in code}
    assert raised - set(PROBLEMS) == set()
    assert set(PROBLEMS) - raised - SHARED_CODES <= {
        "duplicate-cron",
        "duplicate-trigger",
        "syntax-newer-than-host",
    }


def test_explanations_are_complete_sentences_with_a_remedy() -> None:
    for code, explanation in PROBLEMS.items():
        assert explanation.meaning.endswith("."), code
        assert explanation.remedy, code
