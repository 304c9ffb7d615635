"""Completion in shells: the scripts, and the words that the command offers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import FNKIT, Command

PROJECT = """\
from fnkit import cron, function, trigger


@function(secrets=["DATABASE_URL"])
def orders(event, context):
    return {}


@cron("0 * * * *", name="hourly")
@cron("0 0 * * *", name="daily")
def report(event, context):
    return {}


@trigger(nats="orders.created", name="created")
def on_order(event, context):
    return {}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "fnkit.toml").write_text('name = "shop"\n[stages.prod]\n', encoding="utf-8")
    (tmp_path / "main.py").write_text(PROJECT, encoding="utf-8")
    return tmp_path


def complete(fnkit: Command, directory: Path, words: str) -> list[str]:
    """Return what bash would offer for a line whose last word is incomplete."""
    parts = words.split(" ")
    done = fnkit(
        cwd=directory,
        _FNKIT_COMPLETE="bash_complete",
        COMP_WORDS=words.rstrip(),
        COMP_CWORD=str(len(parts) - 1),
    ).ok()
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fnkit sc", ["scan"]),
        ("fnkit cron h", ["history"]),
        ("fnkit invoke o", ["on-order", "orders"]),
        ("fnkit deploy orders re", ["report"]),
        ("fnkit cron run ", ["report/hourly", "report/daily"]),
        ("fnkit trigger deliveries ", ["on-order", "on-order/created"]),
        ("fnkit status --stage p", ["prod"]),
        ("fnkit status --region n", ["nl-ams"]),
        ("fnkit new --template q", ["queue"]),
        ("fnkit explain bad-sched", ["bad-schedule"]),
    ],
)
def test_word_is_completed(fnkit: Command, shop: Path, words: str, offered: list[str]) -> None:
    assert complete(fnkit, shop, words) == offered


def test_project_is_found_with_directory(
    fnkit: Command, shop: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert complete(fnkit, elsewhere, f"fnkit invoke -C {shop} ord") == ["orders"]
    assert complete(fnkit, elsewhere, f"fnkit -C {shop} invoke ord") == ["orders"]


@pytest.mark.parametrize("text", ["", "not toml ["])
def test_no_project_has_no_completions(fnkit: Command, tmp_path: Path, text: str) -> None:
    if text:
        (tmp_path / "fnkit.toml").write_text(text, encoding="utf-8")
    assert complete(fnkit, tmp_path, "fnkit invoke o") == []
    assert complete(fnkit, tmp_path, "fnkit plan --stage p") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_printed_alone(fnkit: Command, shell: str) -> None:
    done = fnkit("completion", shell).ok()
    assert done.stderr == ""
    assert f"_FNKIT_COMPLETE={shell}_complete" in done.stdout
    assert fnkit("completion", shell, "--json").ok().json() == {"shell": shell, "script": done.stdout}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_with_the_script(shop: Path) -> None:
    script = (
        f'export PATH="{FNKIT.parent}:$PATH"; eval "$(fnkit completion bash)"; '
        'COMP_WORDS=(fnkit invoke ord); COMP_CWORD=2; _fnkit_completion fnkit; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], cwd=shop, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("orders\n", "")


def test_unknown_shell_is_refused(fnkit: Command) -> None:
    done = fnkit("completion", "tcsh")
    assert done.code == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
