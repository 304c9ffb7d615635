"""The help: each verb has a heading and examples, and each example is a command line that is accepted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fnkit.cli.app import VERB_GROUPS, VERBS, application
from fnkit.cli.examples import EXAMPLES
from fnkit.cli.help import COMMON_GROUP, Command, GroupedOption
from fnkit.cli.run_state import RunState
from tests.support.cli_commands import command_for, command_paths, is_group

_COMMAND_LINE = re.compile(r"""\bfnkit((?: (?:[^\s|>)'"`]|'[^']*'|"[^"]*")+)+)""")
_LEAVES = [verb for verb in command_paths() if not is_group(verb)]


def command_lines() -> Iterator[str]:
    """Return the arguments of each ``fnkit`` in the examples, in what they do too."""
    for examples in EXAMPLES.values():
        for line, text in examples:
            found = _COMMAND_LINE.findall(line)
            assert found, line
            yield from found
            yield from _COMMAND_LINE.findall(text)


def test_each_verb_is_below_one_heading() -> None:
    assert sorted(verb for verbs in VERB_GROUPS.values() for verb in verbs) == sorted(VERBS)


def test_each_command_has_examples_and_no_other_has() -> None:
    assert set(EXAMPLES) == {"fnkit", *(" ".join(("fnkit", *verb)) for verb in _LEAVES)}
    assert all(1 <= len(examples) <= 4 for examples in EXAMPLES.values())


@pytest.mark.parametrize("verb", _LEAVES, ids=" ".join)
def test_examples_of_a_command_call_it(verb: tuple[str, ...]) -> None:
    name = " ".join(("fnkit", *verb))
    assert all(re.search(rf"\b{name}\b", line) for line, _ in EXAMPLES[name])


@pytest.mark.parametrize("line", sorted(set(command_lines())), ids=str.strip)
def test_example_is_accepted(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("platform.backup", "order.json", "shop.plan"):
        (tmp_path / name).touch()
    arguments = shlex.split(line)
    command: click.Command = application
    context = click.Context(application, info_name="fnkit", obj=RunState())
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    command.make_context("fnkit", arguments, parent=context)  # fails for an option that it does not have


@pytest.mark.parametrize("verb", _LEAVES, ids=" ".join)
def test_common_options_stand_below_their_heading(verb: tuple[str, ...]) -> None:
    command = command_for(verb)
    assert isinstance(command, Command)
    common = {"as_json", "directory", "stage", "quiet", "verbose", "no_color"}
    grouped = {one.name for one in command.params if isinstance(one, GroupedOption) and one.group == COMMON_GROUP}
    assert grouped == common


@pytest.mark.parametrize("verb", [verb for verb in _LEAVES if verb[0] == "platform"], ids=" ".join)
def test_options_of_a_project_are_accepted_but_not_listed_where_there_is_none(verb: tuple[str, ...]) -> None:
    hidden = {one.name for one in command_for(verb).params if isinstance(one, click.Option) and one.hidden}
    assert hidden == {"directory", "stage"}
