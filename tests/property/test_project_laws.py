"""Laws of settings, names, and .env files."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fnkit.contract.names import function_name_error
from fnkit.contract.toml_lines import TomlLines
from fnkit.errors import Problem, ProjectInvalid
from fnkit.project import read_settings
from fnkit.project.dotenv import DotenvError, parse_dotenv, set_dotenv_value, unset_dotenv_value
from fnkit.project.settings import SettingsTable
from fnkit.project.settings_file import decode_table
from tests.support.project_tree import problems_of

WORDS = st.text(max_size=8)
NAMES = st.lists(WORDS, max_size=3)
VARIABLES = st.dictionaries(WORDS, WORDS, max_size=3)
DEFAULTS = {
    **dict.fromkeys(("runtime", "privacy", "http_option", "sandbox", "private_network_id"), WORDS),
    "change_detection": WORDS | st.sampled_from(("function", "project")),
    **dict.fromkeys(("memory", "min_scale", "max_scale"), st.integers(-(2**63), 2**63 - 1)),
    "preload": st.booleans(),
    **dict.fromkeys(("secrets", "tags", "groups"), NAMES),
    "timeout": WORDS | st.integers(0, 10**6) | st.floats(0, 10**6),
    "env": VARIABLES,
}
OVERRIDES = {**DEFAULTS, "description": WORDS, "domains": NAMES}
CRON = st.fixed_dictionaries({"schedule": WORDS}, optional={"args": VARIABLES, "name": WORDS})
TRIGGER = st.fixed_dictionaries({}, optional=dict.fromkeys(("nats", "sqs", "name", "region"), WORDS))
FUNCTION = st.fixed_dictionaries(
    {"name": WORDS},
    optional={
        **OVERRIDES,
        "path": WORDS,
        "handler": WORDS,
        "crons": st.lists(CRON, max_size=2),
        "triggers": st.lists(TRIGGER, max_size=2),
    },
)
NAMESPACE = st.fixed_dictionaries(
    {}, optional={"name": WORDS, "shared": st.booleans(), "env": VARIABLES, "secrets": NAMES, "tags": NAMES}
)
STAGE = st.fixed_dictionaries(
    {},
    optional={
        "region": WORDS,
        "env": VARIABLES,
        "secrets": NAMES,
        "defaults": st.fixed_dictionaries({}, optional=DEFAULTS),
        "functions": st.dictionaries(WORDS, st.fixed_dictionaries({}, optional=OVERRIDES), max_size=1),
    },
)
TABLES = st.fixed_dictionaries(
    {},
    optional={
        "name": WORDS,
        "namespace": WORDS | NAMESPACE,
        "region": WORDS,
        "defaults": st.fixed_dictionaries({}, optional=DEFAULTS),
        "stages": st.dictionaries(WORDS, STAGE, max_size=2),
        "exclude": NAMES,
        "source_builds": NAMES,
        "function": st.lists(FUNCTION, max_size=2),
    },
)


@given(st.text() | st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True))
def test_function_name_is_valid_exactly_when_the_contract_allows_it(name: str) -> None:
    table = {"name": name, "runtime": "go126"}
    with tempfile.TemporaryDirectory() as folder:
        text = f'name = "shop"\n[[function]]\nname = {toml_string(name)}\nruntime = "{table["runtime"]}"\n'
        codes = [one.code for one in problems_of(Path(folder), {"fnkit.toml": text, "go.mod": ""})]
    assert ("bad-name" in codes) == (function_name_error(name) is not None)


def toml_string(text: str) -> str:
    """Return a basic TOML string with every character as an escape."""
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


@given(TABLES)
def test_settings_table_round_trips(raw: dict[str, object]) -> None:
    table, problems = decode_table(SettingsTable, raw, "fnkit.toml", TomlLines({}))
    assert problems == ()
    again, problems = decode_table(SettingsTable, msgspec.to_builtins(table), "fnkit.toml", TomlLines({}))
    assert problems == ()
    assert again == table


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
KNOWN = st.sampled_from(
    ["name", "namespace", "defaults", "stages", "function", "exclude", "env", "crons", "memory"]
)


@given(st.dictionaries(KNOWN, JSON | st.dictionaries(KNOWN, JSON) | st.lists(st.dictionaries(KNOWN, JSON))))
def test_any_table_decodes_or_has_problems(raw: dict[str, object]) -> None:
    table, problems = decode_table(SettingsTable, raw, "fnkit.toml", TomlLines({}))
    assert (table is None) == bool(problems)


@given(st.binary() | st.text().map(str.encode))
def test_any_settings_file_is_read_or_has_located_problems(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "fnkit.toml").write_bytes(content)
        found: tuple[Problem, ...] = ()
        try:
            read_settings(Path(folder))
        except ProjectInvalid as invalid:
            found = invalid.problems
        assert all(problem.file and problem.line for problem in found)


KEYS = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
TOML_VALUES = st.sampled_from(
    [
        "1",
        '"a"',
        "'''\nx = 1\n[y]\n'''",
        '"""\n\\"""\nz = 2 """',
        "[\n  1, # ]\n  2,\n]",
        "{ q = [1] }",
        "[[1], ['#']]",
    ]
)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, TOML_VALUES, min_size=1), min_size=1))
def test_line_of_every_toml_key_is_found(document: dict[str, dict[str, str]]) -> None:
    text, expected = "", {}
    for table, values in document.items():
        text += f"\n[{table}] # table\n"
        for key, value in values.items():
            expected[table, key] = text.count("\n") + 1
            text += f"{key} = {value}\n"
    tomllib.loads(text)
    lines = TomlLines.from_text(text)
    assert {path: lines.line(*path) for path in expected} == expected


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text().filter(lambda t: "'" not in t)
    )
)
def test_single_quoted_dotenv_values_are_literal(values: dict[str, str]) -> None:
    assert parse_dotenv("".join(f"{name}='{value}'\n" for name, value in values.items())) == values


@given(st.text(alphabet=st.sampled_from("AB=#'\"\\\n\r\t $ex")))
def test_any_text_is_dotenv_or_has_an_error_line(text: str) -> None:
    line = 1
    try:
        parse_dotenv(text)
    except DotenvError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1


DOTENV_LINES = (
    *("A=1\n", "export B='two\nlines' # note\n", "# comment\n", "\n"),
    *('A="x\\n"\n', "C=plain # note\r\n", "D=\n"),
)
DOTENV_TEXTS = st.builds(
    "{}{}".format, st.lists(st.sampled_from(DOTENV_LINES), max_size=6).map("".join), st.sampled_from(("", "E=end"))
)


@given(DOTENV_TEXTS, st.sampled_from("ABCDE"), st.text())
def test_value_that_was_set_is_read_and_nothing_else_changes(text: str, name: str, value: str) -> None:
    edited = set_dotenv_value(text, name, value)
    assert parse_dotenv(edited) == {**parse_dotenv(text), name: value}
    assert [line for line in edited.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith("#")
    ]
    assert set_dotenv_value(edited, name, value) == edited


@given(DOTENV_TEXTS, st.sampled_from("ABCDE"))
def test_name_that_was_unset_is_gone_and_nothing_else_changes(text: str, name: str) -> None:
    edited = unset_dotenv_value(text, name)
    assert parse_dotenv(edited) == {key: value for key, value in parse_dotenv(text).items() if key != name}
    assert (edited == text) == (name not in parse_dotenv(text))
