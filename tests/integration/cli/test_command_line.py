"""The installed command: shapes of errors, purity of ``--json``, interrupts, closed pipes, speed of nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli_commands import command_paths
from tests.support.command import FNKIT, Command
from tests.support.golden import Golden


@pytest.mark.parametrize("verb", [(), *command_paths()], ids=lambda verb: " ".join(verb) or "fnkit")
def test_help_is_what_the_golden_file_says(verb: tuple[str, ...], fnkit: Command, golden: Golden) -> None:
    shown = fnkit(*verb, "--help").ok()
    assert shown.stderr == ""
    golden.check(f"cli/help/{'-'.join(verb) or 'fnkit'}.txt", shown.stdout)


@pytest.mark.usefixtures("project")
def test_bare_fnkit_names_three_commands(fnkit: Command) -> None:
    shown = fnkit().ok()
    assert shown.stdout == (
        "Next commands in this directory:\n\n"
        "  fnkit new shop        create a project\n"
        "  fnkit platform start  start the local platform\n"
        "  fnkit --help          list all commands\n"
    )


def test_the_version_is_one_line(fnkit: Command) -> None:
    from fnkit import __version__

    assert fnkit("--version").ok().stdout == f"fnkit {__version__}\n"


def test_an_unknown_verb_is_wrong_use_and_names_the_nearest(fnkit: Command) -> None:
    done = fnkit("depoy")
    assert done.code == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: There is no command `depoy`. Did you mean `fnkit deploy`?\n  hint: Run `fnkit --help` for usage.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("depoy", "--json"),
        ("scan", "--json", "--no-such-option"),
        ("invoke", "--json"),
        ("scan", "--json", "-C", "/no/such/folder"),
        ("scan", "--json", "--stage", "Not A Stage"),
        ("platform", "env", "--json"),
        ("platform", "strat", "--json"),
        ("platform", "start", "--json", "--api-port", "99999"),
        ("platform", "start", "--json", "--clock-speed", "2", "--manual-clock"),
        *(("platform", "start", "--json", "--clock-speed", speed) for speed in ("0", "nan", "inf", "1e9")),
        ("platform", "start", "--json", "--scale-to-zero-after", "nan"),
        ("platform", "reset", "--json"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("project")
def test_with_json_a_failure_is_the_one_document(arguments: tuple[str, ...], fnkit: Command) -> None:
    done = fnkit(*arguments)
    error = done.json()["error"]
    assert isinstance(error, dict)
    assert list(error) == ["code", "message", "hint", "file", "line"]
    assert done.code == (1 if arguments[:2] == ("platform", "env") else 2)
    assert done.stderr == ""


def test_a_group_without_a_verb_is_wrong_use(fnkit: Command) -> None:
    done = fnkit("platform")
    assert (done.code, done.stderr) == (
        2,
        "error: `fnkit platform` needs a command.\n  hint: Run `fnkit platform --help` for a list.\n",
    )


def test_a_reader_that_leaves_hears_no_complaint() -> None:
    writer = subprocess.Popen([str(FNKIT), "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.close()
    _, stderr = writer.communicate(timeout=60)
    assert stderr == b""


def test_a_terminal_that_cannot_show_a_character_is_no_crash(fnkit: Command, project: Path) -> None:
    (project / "größe.py").write_text(
        "from fnkit import function\n\n@function(memory=1)\ndef größe(event, context): ...\n"
    )
    done = fnkit("scan", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert "internal-error" not in done.stderr
    assert "Traceback" not in done.stderr
