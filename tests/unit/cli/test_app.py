"""Commands that fnkit suggests in a folder."""

from __future__ import annotations

from pathlib import Path

from fnkit.cli.app import suggested_commands


def test_suggested_commands_depend_on_the_folder(tmp_path: Path) -> None:
    assert suggested_commands(tmp_path)[0][0] == "fnkit new shop"
    (tmp_path / "package.json").write_text("{}")
    assert suggested_commands(tmp_path)[0][0] == "fnkit init"
    (tmp_path / "fnkit.toml").write_text("")
    assert [command for command, _ in suggested_commands(tmp_path)] == [
        "fnkit scan",
        "fnkit deploy --local",
        "fnkit deploy",
    ]
