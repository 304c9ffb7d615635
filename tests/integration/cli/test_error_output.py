"""How errors look: in terminals of several widths, without one, and beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.golden import Golden
from tests.support.terminal import terminal

FILES = {
    "fnkit.toml": 'name = "shop"\n\n[defaults]\nmemory = 300\n\n[defaults.env]\nPORT = "8080"\n',
    "requirements.txt": "requests>=2\n-e ../lib\n",
    "shop/orders.py": """\
from fnkit import cron, function, trigger


@cron("61 * * * *")
@function(memroy=256, env={"TOKEN": 5}, description="größer als 注文")
def cleanup(event, context): ...


@function(timeout="2h", domains=["https://shop.example.com"], secrets=["DATABASE-URL"])
\t# a comment after a tab
def create(order): ...


@cron(schedule())
def report(event, context): ...


@trigger(nats="orders created")
@function(runtime="python27")
def on_order(event, context): ...
""",
    "shop/broken.py": "from fnkit import function\n\n@function\ndef show(event, context)\n    return 1\n",
}


@pytest.fixture
def broken(project: Path) -> Path:
    """A project with a problem of every kind of place."""
    for name, text in FILES.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    return project


def test_problems_without_a_terminal(broken: Path, fnkit: Command, golden: Golden) -> None:
    result = fnkit("bundle", cwd=broken)
    assert (result.code, result.stdout) == (2, "")
    golden.check("cli/errors/pipe.txt", result.stderr)


@pytest.mark.parametrize("columns", [100, 60, 40])
def test_problems_in_a_terminal(broken: Path, columns: int, golden: Golden) -> None:
    with terminal("bundle", directory=broken, columns=columns) as session:
        assert session.wait() == 2
    golden.check(f"cli/errors/terminal-{columns}.txt", session.plain)
    assert "\x1b[31m\x1b[1merror[" in session.shown


@pytest.mark.parametrize("arguments", [("bundle",), ("scan",)], ids=["errors", "scan"])
def test_colours_can_be_disabled(broken: Path, arguments: tuple[str, ...]) -> None:
    with terminal(*arguments, directory=broken, variables={"NO_COLOR": "1"}) as session:
        session.wait()
    assert "\x1b[3" not in session.shown


def test_place_is_a_path_from_the_current_directory(broken: Path, fnkit: Command) -> None:
    (broken / "fnkit.toml").write_text('name = "shop"\nregion = "fr"\n')
    places = {
        broken: "fnkit.toml",
        broken / "shop": "../fnkit.toml",
        broken.parent: "project/fnkit.toml",
        Path("/"): str(broken / "fnkit.toml")[1:],
    }
    for directory, shown in places.items():
        result = fnkit("plan", "-C", str(broken), cwd=directory)
        assert f"\n  --> {shown}:2:1\n" in result.stderr, result.stderr
        assert '\n 2 | region = "fr"\n' in result.stderr


def test_place_elsewhere_is_an_absolute_path(broken: Path, fnkit: Command, tmp_path: Path) -> None:
    (broken / "fnkit.toml").write_text('name = "shop"\nregion = "fr"\n')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = fnkit("plan", "-C", str(broken), cwd=elsewhere)
    assert f"\n  --> {broken}/fnkit.toml:2:1\n" in result.stderr


def test_line_of_an_env_file_is_never_shown(fnkit: Command, project: Path) -> None:
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / ".env").write_text("OTHER=hunter2\nKEY hunter3\n")
    (project / "main.py").write_text(
        'from fnkit import function\n\n@function(secrets=["KEY"])\ndef hello(event, context): ...\n'
    )
    result = fnkit("secret", "list")
    assert result.stderr.startswith("error[bad-dotenv]: ")
    assert "\n  --> .env:2\n  hint: " in result.stderr
    assert "hunter" not in result.stderr
