"""Static scanning of a module: what is read without executing it, and which problems are reported otherwise."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from fnkit.adapters.adapt import describe_parameter
from fnkit.authoring.calling import call_kind
from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration
from fnkit.scanner import ScannedFunction, scan
from tests.support.project_tree import locations, problems_of, scan_files

HANDLER = "def handler(event, context): ...\n"


def single_function(tmp_path: Path, source: str) -> ScannedFunction:
    """Return the only function of a module that has no problems."""
    report = scan_files(tmp_path, {"app.py": source})
    assert report.problems == ()
    (function,) = report.functions
    return function


def memory_of(tmp_path: Path, source: str) -> object:
    (mark,) = single_function(tmp_path, source).declarations
    assert isinstance(mark.declaration, FunctionDeclaration)
    return mark.declaration.memory


@pytest.mark.parametrize(
    "source",
    [
        f"from fnkit import function\n@function\n{HANDLER}",
        f"from fnkit import function\n@function()\n{HANDLER}",
        f"from fnkit import function as fn\n@fn\n{HANDLER}",
        f"import fnkit\n@fnkit.function\n{HANDLER}",
        f"import fnkit as fk\n@fk.function()\n{HANDLER}",
        f"import fnkit.authoring\n@fnkit.authoring.function\n{HANDLER}",
        f"import fnkit.authoring as a\n@a.function\n{HANDLER}",
        f"from fnkit import authoring\n@authoring.function\n{HANDLER}",
        f"from fnkit.authoring import function\n@function\n{HANDLER}",
        f"from fnkit.authoring.decorators import function\n@function\n{HANDLER}",
        f"from fnkit import *\n@function\n{HANDLER}",
        f"import fnkit\nmark = fnkit.function\n@mark\n{HANDLER}",
        f"from fnkit import function\nplain = function()\n@plain\n{HANDLER}",
        f"try:\n    from fnkit import function\nexcept ImportError:\n    raise\n@function\n{HANDLER}",
        f"import os, fnkit\n@fnkit.function\n{HANDLER}",
    ],
    ids=lambda source: source.split("def")[0].replace("\n", " | "),
)
def test_decorator_is_recognised_under_any_imported_name(tmp_path: Path, source: str) -> None:
    function = single_function(tmp_path, source)
    assert [mark.declaration for mark in function.declarations] == [FunctionDeclaration()]
    assert function.handler == "app.handler"


@pytest.mark.parametrize(
    "source",
    [
        f"from other import function\n@function\n{HANDLER}# fnkit",
        f"from fnkit import function\nfrom other import function\n@function\n{HANDLER}",
        f"from fnkit import function\ndef function(handler): ...\n@function\n{HANDLER}",
        f"import fnkit\nfnkit = other\n@fnkit.function\n{HANDLER}",
        f"from fnkit import Event\n{HANDLER}",
        f"text = 'from fnkit import function; @function'\n{HANDLER}",
        f"from fnkitten import function\n@function\n{HANDLER}",
        f"from .fnkit import function\n@function\n{HANDLER}",
    ],
    ids=lambda source: source.split("def handler")[0].replace("\n", " | "),
)
def test_decorator_from_elsewhere_is_ignored(tmp_path: Path, source: str) -> None:
    report = scan_files(tmp_path, {"app.py": source})
    assert report.functions == ()
    assert report.problems == ()


@pytest.mark.parametrize(
    ("before", "expression", "value"),
    [
        ("", "128 * 2", 256),
        ("BASE = 128", "BASE << 1", 256),
        ("BASE = 128\nBASE = 512", "BASE", 512),
        ("BASE: int = 128", "BASE", 128),
        ("A = B = 128", "B", 128),
        ("A, B = 128, 256", "B", 256),
        ("SIZES = {'s': 128, 'l': 1024}", "SIZES['l']", 1024),
        ("SIZES = [128, 256]", "SIZES[-1]", 256),
        ("BIG = True", "1024 if BIG else 128", 1024),
        ("", "-(-128)", 128),
        ("", "None or 128", 128),
    ],
)
def test_constant_expressions_are_evaluated(tmp_path: Path, before: str, expression: str, value: int) -> None:
    source = f"from fnkit import function\n{before}\n@function(memory={expression})\n{HANDLER}"
    assert memory_of(tmp_path, source) == value


def test_all_kinds_of_arguments_are_read(tmp_path: Path) -> None:
    function = single_function(
        tmp_path,
        """
from fnkit import cron, function, trigger
EVERY, COMMON = 5, {"LEVEL": "info"}
SHARED = {"memory": 512, "secrets": ["KEY"]}

@cron(f"*/{EVERY} * * * *", args={"full": False, "n": [1, 2]}, name="clean")
@cron("*/%d 1 * * *" % EVERY)
@trigger(nats="orders." + "created", description="d")
@function(env={**COMMON, "A": "1"}, timeout="30s", **SHARED)
def handler(event, context):
    '''Clean up.

    Every so often.
    '''
""",
    )
    assert [mark.declaration for mark in function.declarations] == [
        CronDeclaration(schedule="*/5 * * * *", args={"full": False, "n": [1, 2]}, name="clean"),
        CronDeclaration(schedule="*/5 1 * * *"),
        TriggerDeclaration(nats="orders.created", description="d"),
        FunctionDeclaration(env={"LEVEL": "info", "A": "1"}, timeout="30s", memory=512, secrets=("KEY",)),
    ]
    assert [mark.span.line for mark in function.declarations] == [6, 7, 8, 9]
    assert (function.line, function.summary) == (10, "Clean up.")


@pytest.mark.parametrize(
    ("before", "expression"),
    [
        ("import os", "int(os.environ['MEM'])"),
        ("from settings import BASE", "BASE"),
        ("", "MISSING"),
        ("if True:\n    BASE = 1", "BASE"),
        ("for BASE in (1, 2): pass", "BASE"),
        ("BASE = 1\nBASE += compute()", "BASE"),
        ("BASE = 1\ndef set_base():\n    global BASE\n    BASE = 2", "BASE"),
        ("SIZES = [1]\nSIZES.append(2)", "SIZES[0]"),
        ("SIZES = {'a': 1}\nSIZES['a'] = 2", "SIZES['a']"),
        ("SIZES = {'a': 1}\nALIAS = SIZES\nALIAS['a'] = 2", "SIZES['a']"),
        ("SIZES = {'a': 1}\nregister(SIZES)", "SIZES['a']"),
        ("SIZES = {'a': 1}\ndef grow():\n    SIZES['a'] = 2", "SIZES['a']"),
        ("SIZES = {'a': 1}\ndef grow():\n    SIZES.update(a=2)", "SIZES['a']"),
        ("INNER = [1]\nOUTER = (INNER, 2)\nchange(OUTER)", "INNER[0]"),
        ("", "(lambda: 1)()"),
        ("", "[x for x in (1, 2)][0]"),
        ("", "1 // 0"),
        ("", "[1][5]"),
        ("", "10 ** 10 ** 10"),
        ("", "1 << 10 ** 12"),
        ("", "len('a' * 10 ** 12)"),
        ("", "'%*d' % (10 ** 12, 1)"),
        ("", "f'{1:999999999999}'"),
    ],
    ids=lambda text: text.replace("\n", " | "),
)
def test_computed_argument_is_reported_with_its_line(tmp_path: Path, before: str, expression: str) -> None:
    source = f"from fnkit import function\n{before}\n@function(memory={expression})\n{HANDLER}"
    report = scan_files(tmp_path, {"app.py": source})
    line = 3 + before.count("\n")
    assert locations(report.problems) == [f"computed-argument app.py:{line}"]
    assert "--import" in (report.problems[0].hint or "")


def test_container_that_is_only_read_is_constant(tmp_path: Path) -> None:
    source = """
from fnkit import function
ENV = {"memory": 256}

@function(memory=ENV["memory"])
def handler(event, context):
    return ENV.get("memory"), dict(ENV)
"""
    assert memory_of(tmp_path, source) == 256


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("@function(memroy=1)", "unknown-argument app.py:2"),
        ("@function(memory='256')", "bad-argument app.py:2"),
        ("@function(memory=True)", "bad-argument app.py:2"),
        ("@function(secrets='KEY')", "bad-argument app.py:2"),
        ("@function(env={'A': 1})", "bad-argument app.py:2"),
        ("@function(env={1: 'a'})", "bad-argument app.py:2"),
        ("@function('orders')", "positional-argument app.py:2"),
        ("@function(**[1])", "bad-argument app.py:2"),
        ("@cron", "bad-argument app.py:2"),
        ("@cron()", "bad-argument app.py:2"),
        ("@cron(5)", "bad-argument app.py:2"),
        ("@cron('* * * * *', args=[1])", "bad-argument app.py:2"),
        ("@cron('* * * * *', 'name')", "positional-argument app.py:2"),
        ("@cron(*ARGS)", "positional-argument app.py:2"),
        ("@trigger(queue='jobs')", "unknown-argument app.py:2"),
    ],
)
def test_invalid_decorator_argument_is_reported(tmp_path: Path, source: str, problem: str) -> None:
    report = scan_files(tmp_path, {"app.py": f"from fnkit import cron, function, trigger\n{source}\n{HANDLER}"})
    assert problem in locations(report.problems)


def test_misspelt_argument_has_a_suggestion(tmp_path: Path) -> None:
    report = scan_files(tmp_path, {"app.py": f"from fnkit import function\n@function(memroy=1)\n{HANDLER}"})
    assert [problem.hint for problem in report.problems] == ["Did you mean memory?"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('@cron("0 * * * *")', [("@cron on handler: cron is", "Add `from fnkit import cron` ")]),
        ("@function", [("@function on handler: function is", "Add `from fnkit import function` ")]),
        ('@trigger(nats="a")', [("@trigger on handler: trigger is", "Add `from fnkit import trigger` ")]),
        ("@fnkit.function()", [("@fnkit.function on handler: fnkit is", "Add `import fnkit` ")]),
        ("def cron(f): return f\ndel cron\n@function", [("@function on handler: function is", "Add `from")]),
        ('from fnkit import function\n@function\n@cron("0 * * * *")', [("@cron on handler: cron is", "Add `from")]),
    ],
)
def test_decorator_that_was_not_imported_is_reported(
    tmp_path: Path, source: str, expected: list[tuple[str, str]]
) -> None:
    report = scan_files(tmp_path, {"app.py": f"{source}\n{HANDLER}"})
    line = source.count("\n") + 1
    assert locations(report.problems) == [f"decorator-not-imported app.py:{line}"]
    (problem,) = report.problems
    (message, hint) = expected[0]
    assert problem.message == f"{message} not defined at this point."
    assert (problem.hint or "").startswith(hint)


def test_arguments_of_a_decorator_that_was_not_imported_are_checked(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, {"app.py": '@cron("61 * * * *")\n@function(memroy=1)\n' + HANDLER})
    assert sorted(problem.code for problem in problems) == [
        "bad-schedule",
        "decorator-not-imported",
        "decorator-not-imported",
        "unknown-argument",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "from celery import cron",
        "import celery as cron",
        "from celery.everything import *",
        "def cron(schedule): return lambda handler: handler",
        "class cron: ...",
        "cron = print",
        "if FLAG:\n    from celery import cron\nelse:\n    cron = None",
        "for cron in found: ...",
        "with opened as cron: ...",
        "try: ...\nexcept E as cron: ...",
        "match x:\n    case [*cron]: ...",
        "match x:\n    case str() as cron: ...",
        "def set_up():\n    global cron\n    cron = print\nset_up()",
    ],
    ids=lambda text: text.replace("\n", " | "),
)
@pytest.mark.parametrize("first", ["", "from fnkit import function\n"])
def test_name_that_the_module_binds_itself_is_not_a_decorator_of_fnkit(
    tmp_path: Path, source: str, first: str
) -> None:
    report = scan_files(tmp_path, {"app.py": f'{first}{source}\n@cron("0 * * * *")\n{HANDLER}'})
    assert (report.functions, report.problems) == ((), ())


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("class K:\n    @function\n    def handler(self, event): ...", "handler-nested app.py:4"),
        ("def make():\n    @function\n    def handler(event, context): ...", "handler-nested app.py:4"),
        ("if FLAG:\n    @function\n    def handler(event, context): ...", "handler-conditional app.py:4"),
        ("for x in y:\n    @function()\n    def handler(event, context): ...", "handler-conditional app.py:4"),
        ("try: ...\nexcept E:\n    @function\n    def h(event, context): ...", "handler-conditional app.py:5"),
        ("match x:\n    case 1:\n        @function\n        def h(e, c): ...", "handler-conditional app.py:5"),
        ("handler = function(memory=1)(other)", "decorator-called app.py:2"),
        ("handlers = [function(h) for h in found]", "decorator-called app.py:2"),
        ("register(function)", "decorator-called app.py:2"),
        ("for h in found:\n    globals()[h] = function(h)", "decorator-called app.py:3"),
    ],
    ids=lambda text: text.replace("\n", " | "),
)
def test_handler_that_is_not_at_module_level_is_reported(tmp_path: Path, source: str, problem: str) -> None:
    report = scan_files(tmp_path, {"app.py": f"from fnkit import function\n{source}\n"})
    assert locations(report.problems) == [problem]


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("def handler(event, context): ...", (2, 2, (), False, False)),
        ("def handler(event, context, extra=1): ...", (2, 3, (), False, False)),
        ("def handler(*args): ...", (0, None, (), False, False)),
        ("def handler(event, /, context, *, key): ...", (2, 2, ("key",), False, False)),
        ("async def handler(event, context): ...", (2, 2, (), True, False)),
        ("def handler(event, context): yield 1", (2, 2, (), False, True)),
        ("def handler(event, context):\n    for x in y:\n        z = yield from x", (2, 2, (), False, True)),
        ("def handler(event, context):\n    def f(): yield 1\n    lambda: (yield)", (2, 2, (), False, False)),
    ],
)  # fmt: skip
def test_handler_signature_is_read(tmp_path: Path, definition: str, expected: tuple[object, ...]) -> None:
    signature = single_function(tmp_path, f"from fnkit import function\n@function\n{definition}\n").signature
    assert signature is not None
    assert (
        signature.required_positionals,
        signature.max_positionals,
        signature.required_keywords,
        signature.is_async,
        signature.is_generator,
    ) == expected


def test_signature_behind_a_foreign_decorator_is_unknown(tmp_path: Path) -> None:
    source = "from fnkit import function\n@function\n@retry(3)\ndef handler(event): ...\n"
    assert single_function(tmp_path, source).signature is None


@pytest.mark.parametrize(
    ("definition", "kind"),
    [
        ("def handler(event, context): ...", "plain"),
        ("def handler(e, c): ...", "plain"),
        ("def handler(*args, **kwargs): ...", "plain"),
        ("def handler(event: Order, context: Context): ...", "plain"),
        ("def handler(e: 'fnkit.Event', c: dict[str, object], more: int = 0): ...", "plain"),
        ("def handler(_event: Order, __context__=None): ...", "plain"),
        ("async def handler(event, context): ...", "async"),
        ("async def handler(*args): ...", "async"),
        ("def handler(event): ...", "typed"),
        ("def handler(): ...", "typed"),
        ("def handler(a: int, b: int): ...", "typed"),
        ("def handler(a: Annotated[dict, Body()], b: dict): ...", "typed"),
        ("def handler(a: 'int | None', b: dict): ...", "typed"),
        ("def handler(event, context, *, key: str): ...", "typed"),
        ("async def handler(name: str = ''): ...", "typed"),
        ("def handler(environ, start_response): ...", "application"),
        ("async def handler(scope: Scope, receive, send): ...", "application"),
    ],
)
def test_parameters_decide_how_a_handler_is_called(tmp_path: Path, definition: str, kind: str) -> None:
    signature = single_function(tmp_path, f"from fnkit import function\n@function\n{definition}\n").signature
    assert signature is not None
    assert call_kind(signature.parameters, is_async=signature.is_async) == kind
    # The rule at run time is the same, for annotations that are not evaluated.
    scope: dict[str, Callable[..., object]] = {}
    exec(f"from __future__ import annotations\n{definition}", scope)  # noqa: S102 - a definition of this table
    parameters = [describe_parameter(one) for one in inspect.signature(scope["handler"]).parameters.values()]
    assert tuple(parameters) == signature.parameters


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("api = function(app, name='shop', memory=512)", "api"),
        ("api: object = function(make_app(), name='shop', memory=512)", "api"),
        ("function(app, name='shop', memory=512)", "app"),
    ],
)
def test_marked_object_is_an_application(tmp_path: Path, statement: str, name: str) -> None:
    source = f"from fnkit import function\napp = make_app()\n{statement}\n"
    found = single_function(tmp_path, source)
    assert (found.python_name, found.handler, found.line, found.is_application) == (name, f"app.{name}", 3, True)
    assert found.declarations[0].declaration == FunctionDeclaration(name="shop", memory=512)


def test_function_that_is_marked_by_a_call_keeps_its_signature(tmp_path: Path) -> None:
    source = "from fnkit import function\ndef other(name: str): ...\nhello = function(other, memory=512)\n"
    found = single_function(tmp_path, source)
    assert (found.handler, found.is_application) == ("app.hello", False)
    assert found.signature is not None
    assert [one.name for one in found.signature.parameters] == ["name"]


def test_problem_in_a_marking_call_is_reported(tmp_path: Path) -> None:
    source = "from fnkit import function\napi = function(app, memory='x', size=1)\nfunction(make(), memory=1)\n"
    report = scan_files(tmp_path, {"app.py": source})
    assert locations(report.problems) == [
        "bad-argument app.py:2",
        "unknown-argument app.py:2",
        "decorator-called app.py:3",
    ]


def test_import_finds_an_application_once(tmp_path: Path) -> None:
    source = (
        "from fnkit import function\nclass App:\n    def __call__(self, environ, start_response): ...\n"
        "app = App()\napi = function(app, name='shop', memory=int('512'))\n"
    )
    (tmp_path / "app.py").write_text(source)
    report = scan(tmp_path, [Path("app.py")], import_modules=True)
    [found] = report.functions
    assert (found.handler, found.is_application, report.problems) == ("app.api", True, ())
