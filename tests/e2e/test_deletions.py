"""Nothing is deleted without a confirmation."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import FNKIT, Command
from tests.support.platform import PlatformUnderTest, call_function

pytestmark = pytest.mark.slow

HEAD = "from fnkit import cron, function, trigger\n"
FIRST = "@function\ndef first(event, context): return 'one'\n"
SECOND = '@cron("0 0 1 1 *", name="yearly")\n@function\ndef second(event, context): return \'two\'\n'


@pytest.fixture
def pair(platform: PlatformUnderTest, project: Path) -> Iterator[Command]:
    """``fnkit`` with a deployed project of two functions in two files."""
    fnkit = platform.command
    (project / "fnkit.toml").write_text(f'name = "{project.parent.name.replace("_", "-")[-30:].strip("-")}"\n')
    (project / "one.py").write_text(HEAD + FIRST)
    (project / "two.py").write_text(HEAD + SECOND)
    fnkit("deploy", "--local").ok()
    yield fnkit
    fnkit("destroy", "--local", "--yes")


def domains(fnkit: Command) -> dict[str, str]:
    """Return the domain of each live function."""
    functions = fnkit("status", "--local", "--json").json()["functions"]
    return {one["name"]: one["domain"] for one in functions if one["domain"]}


def test_deploy_without_a_terminal_deletes_nothing_and_says_what_would_go(
    platform: PlatformUnderTest, pair: Command, project: Path
) -> None:
    (project / "two.py").unlink()
    (project / "one.py").write_text(HEAD + FIRST.replace("'one'", "'changed'"))
    before = domains(pair)
    (deletion,) = [one for one in pair("plan", "--local", "--json").json()["changes"] if one["action"] == "delete"]
    assert deletion["reasons"] == ["no longer in the code", f"{before['second']} stops answering"]
    stopped = pair("deploy", "--local")
    assert stopped.code == 2
    assert stopped.stderr.startswith("error[confirmation-needed]: Confirmation is required: This deletes in ")
    assert "\n  function second  http://" in stopped.stderr
    assert "hint: Pass --yes to confirm." in stopped.stderr
    assert domains(pair) == before
    assert call_function(platform, before["first"]).text == "one"  # not even this was changed

    as_json = pair("deploy", "--local", "--json")
    assert as_json.code == 2
    assert as_json.json()["error"]["code"] == "confirmation-needed"
    pair("deploy", "--local", "--no-prune").ok()
    assert domains(pair) == before
    pair("deploy", "--local", "--yes").ok()
    assert set(domains(pair)) == {"first"}


@pytest.mark.long
@pytest.mark.parametrize("verb", ["deploy", "destroy"])
def test_question_on_a_terminal_lists_what_goes(pair: Command, project: Path, verb: str) -> None:
    (project / "two.py").unlink()
    before = domains(pair)
    output, code = answer_on_terminal(pair, verb, "--local", answer="n\n")
    assert code == 1
    assert "\n  function second  http://" in output
    assert "Continue? [y/N]:" in output
    assert domains(pair) == before
    output, code = answer_on_terminal(pair, verb, "--local", answer="y\n")
    assert code == 0, output
    assert set(domains(pair)) == ({"first"} if verb == "deploy" else set())


def answer_on_terminal(fnkit: Command, *arguments: str, answer: str) -> tuple[str, int]:
    """Run the command with a terminal as its standard input, and return its output and exit code."""
    main, terminal = pty.openpty()
    try:
        environment = {**os.environ, **{name: value or "" for name, value in fnkit.environment.items()}}
        with subprocess.Popen(
            [FNKIT, *arguments],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
        ) as process:
            os.write(main, answer.encode())
            output, _ = process.communicate(timeout=100)
            return output, process.returncode
    finally:
        os.close(main)
        os.close(terminal)


@pytest.mark.long
def test_deleting_a_cron_needs_a_confirmation_too(pair: Command, project: Path) -> None:
    (project / "two.py").write_text(HEAD + SECOND.partition("\n")[2])
    stopped = pair("deploy", "--local")
    assert stopped.code == 2
    assert "\n  cron yearly of second\n" in stopped.stderr
    assert "second/yearly" in pair("cron", "list", "--local").ok().stdout
    done = pair("deploy", "--local", "--yes").ok()
    assert "\n  - cron yearly\n" in done.stdout


def test_destroy_without_a_terminal_lists_what_would_go(pair: Command) -> None:
    before = domains(pair)
    stopped = pair("destroy", "--local")
    assert stopped.code == 2
    for name in ("first", "second"):
        assert f"\n  function {name}  http://" in stopped.stderr
    assert "\n  namespace " in stopped.stderr
    assert domains(pair) == before


@pytest.mark.long
@pytest.mark.parametrize(
    "renamed", [FIRST.replace("first", "third"), FIRST.replace("@function", '@function(name="third")')]
)
def test_rename_is_recognised(pair: Command, project: Path, renamed: str) -> None:
    (project / "one.py").write_text(HEAD + renamed)
    domain = domains(pair)["first"]
    note = (
        f"third looks like first under a new name. Its URL changes, and {domain} stops answering; "
        'name="first" keeps it.'
    )
    assert pair("plan", "--local", "--json").ok().json()["notes"] == [note]
    stopped = pair("deploy", "--local")
    assert stopped.code == 2
    assert note in stopped.stderr
    pair("deploy", "--local", "--yes").ok()
    assert set(domains(pair)) == {"second", "third"}


def test_function_that_becomes_another_one_is_no_rename(pair: Command, project: Path) -> None:
    (project / "one.py").unlink()
    (project / "new.py").write_text(HEAD + FIRST.replace("first", "third").replace("'one'", "'new'"))
    assert pair("plan", "--local", "--json").ok().json()["notes"] == []
