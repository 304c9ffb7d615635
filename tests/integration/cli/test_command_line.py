"""The installed ``fnkit`` command: help, usage errors, ``--json`` errors, closed pipes and encodings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli_commands import command_paths
from tests.support.command import FNKIT, Command
from tests.support.golden import Golden
from tests.support.terminal import terminal


@pytest.mark.parametrize("command", [(), *command_paths()], ids=lambda command: " ".join(command) or "fnkit")
def test_help_matches_the_golden_file(command: tuple[str, ...], fnkit: Command, golden: Golden) -> None:
    result = fnkit(*command, "--help").ok()
    assert result.stderr == ""
    golden.check(f"cli/help/{'-'.join(command) or 'fnkit'}.txt", result.stdout)


@pytest.mark.usefixtures("project")
def test_fnkit_without_arguments_suggests_commands(fnkit: Command) -> None:
    result = fnkit().ok()
    assert result.stdout == (
        "Next commands in this directory:\n\n"
        "  fnkit new shop        create a project\n"
        "  fnkit platform start  start the local platform\n"
        "  fnkit --help          list all commands\n"
    )


def test_version_is_one_line(fnkit: Command) -> None:
    from fnkit import __version__

    assert fnkit("--version").ok().stdout == f"fnkit {__version__}\n"


def test_unknown_command_error_suggests_the_closest_match(fnkit: Command) -> None:
    result = fnkit("depoy")
    assert result.code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "error[usage]: There is no command `depoy`. Did you mean `fnkit deploy`?\n"
        "  hint: Run `fnkit --help` for usage.\n"
    )


CLUSTER = "--engine kubernetes --registry-host 10.0.0.5:8480"
REFUSED_WITH_ENGINES = (
    "--engine docker",
    "--engine kubernetes",
    "--engine kubernetes --registry-host http://10.0.0.5",
    "--engine local --kube-context prod",
    "--kubeconfig /etc/hosts",
    "--kubeconfig /no/such/file",
    "--kube-namespace fn",
    "--kube-label team=shop",
    "--registry-host 10.0.0.5:8480",
    f"{CLUSTER} --isolation none",
    f"{CLUSTER} --memory-budget 4GiB",
    f"{CLUSTER} --kube-label team",
    f"{CLUSTER} --kube-label fnkit.dev/team=shop",
    f"{CLUSTER} --kube-namespace Fn",
    f"{CLUSTER} --kubeconfig /no/such/file",
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
        *(("platform", "start", "--json", *refused.split()) for refused in REFUSED_WITH_ENGINES),
        ("platform", "reset", "--json"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("project")
def test_json_error_is_a_single_document(arguments: tuple[str, ...], fnkit: Command) -> None:
    result = fnkit(*arguments)
    error = result.json()["error"]
    assert isinstance(error, dict)
    assert list(error) == ["code", "message", "hint", "file", "line", "column", "end_column"]
    assert result.code == (1 if arguments[:2] == ("platform", "env") else 2)
    assert result.stderr == ""


def test_command_group_without_command_is_a_usage_error(fnkit: Command) -> None:
    result = fnkit("platform")
    assert (result.code, result.stderr) == (
        2,
        "error[usage]: `fnkit platform` needs a command.\n  hint: Run `fnkit platform --help` for a list.\n",
    )


def test_closed_stdout_causes_no_error_output() -> None:
    writer = subprocess.Popen([str(FNKIT), "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.close()
    _, stderr = writer.communicate(timeout=60)
    assert stderr == b""


def test_unencodable_output_does_not_crash(fnkit: Command, project: Path) -> None:
    (project / "größe.py").write_text(
        "from fnkit import function\n\n@function(memory=1)\ndef größe(event, context): ...\n"
    )
    result = fnkit("scan", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert "internal-error" not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "coloured"),
    [
        (("--help",), {}, True),
        (("scan", "--help"), {}, True),
        (("scan", "--help", "--no-color"), {}, False),
        (("--help",), {"NO_COLOR": "1"}, False),
    ],
    ids=["fnkit", "verb", "option", "variable"],
)
def test_help_is_coloured_on_a_terminal_only_if_allowed(
    arguments: tuple[str, ...], variables: dict[str, str], project: Path, *, coloured: bool
) -> None:
    with terminal(*arguments, directory=project, variables=variables) as session:
        assert session.wait() == 0
    assert ("\x1b[1mUsage:" in session.shown) == coloured
    assert ("\x1b[" in session.shown) == coloured


def test_help_fits_a_narrow_terminal(project: Path) -> None:
    with terminal("--help", directory=project, columns=50) as session:
        assert session.wait() == 0
    assert max(map(len, session.plain.splitlines())) <= 50


def test_common_options_can_stand_before_the_verb(fnkit: Command, project: Path) -> None:
    (project / "fnkit.toml").write_text('name = "shop"\n')
    expected = fnkit("scan", "--json", "-C", str(project)).ok().stdout
    elsewhere = project.parent
    assert fnkit("--json", "-C", str(project), "scan", cwd=elsewhere).ok().stdout == expected
    assert fnkit("-C", str(elsewhere), "scan", "--json", "-C", str(project), cwd=elsewhere).ok().stdout == expected
    refused = fnkit("--stage", "Not A Stage", "scan")
    assert (refused.code, "a stage has 1 to 16 characters" in refused.stderr) == (2, True)


def test_platform_commands_accept_the_options_of_projects(fnkit: Command, project: Path) -> None:
    assert fnkit("platform", "status", "-C", str(project), "--stage", "x", "--json").ok().json()["running"] is False


def test_quiet_new_prints_only_the_path(fnkit: Command, project: Path) -> None:
    result = fnkit("new", "shop", "-q").ok()
    assert (result.stdout, result.stderr) == ("shop\n", "")
    assert (project / "shop").is_dir()
