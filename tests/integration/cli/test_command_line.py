"""The installed ``fnkit`` command: help, usage errors, ``--json`` errors, closed pipes and encodings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli_commands import command_paths
from tests.support.command import FNKIT, Command
from tests.support.golden import Golden


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
