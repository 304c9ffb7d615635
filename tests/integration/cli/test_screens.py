"""The whole output of every command, in terminals of 100 and 60 columns and through a pipe."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.cli_commands import command_paths, is_group
from tests.support.golden import Golden
from tests.support.screen_world import ScreenWorld, screen_world
from tests.support.screens import SCREENS, VARIANTS, WITHOUT_SCREEN, Screen, Variant, capture

COMMAND = re.compile(r"`[^`]*`")  # never broken, like a word
COMMAND_LINE = re.compile(r"  (fnkit|curl|cd|eval|\(eval) ")  # to be copied, so the terminal alone breaks it


@pytest.fixture(scope="module")
def world() -> Iterator[ScreenWorld]:
    with screen_world() as prepared:
        yield prepared


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.name)
def test_output_matches_the_golden_file(
    screen: Screen, variant: Variant, world: ScreenWorld, golden: Golden
) -> None:
    shown = capture(screen, variant, world)

    if variant.columns is not None and not variant.has_marks:
        wide = [
            line
            for line in shown.splitlines()
            if len(line) > variant.columns
            and " " in COMMAND.sub("command", line).strip()
            and not COMMAND_LINE.match(line)
        ]
        assert not wide, "a terminal would break these lines within words"
    golden.check(f"cli/screens/{screen.name}-{variant.name}.txt", shown)


def test_every_command_has_a_screen_or_a_reason() -> None:
    verbs = [verb for verb in command_paths() if not is_group(verb)]
    shown = {verb for verb in verbs for screen in SCREENS if screen.verb[: len(verb)] == verb}
    excepted = {tuple(name.split()) for name in WITHOUT_SCREEN}

    assert shown | excepted == set(verbs)
    assert not shown & excepted
