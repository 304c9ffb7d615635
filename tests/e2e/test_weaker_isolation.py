"""Isolation levels without namespaces: functions are deployed and called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.platform import running_platform

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.mark.parametrize("level", ["landlock", "none"])
def test_function_responds_at_weaker_isolation_levels(tmp_path: Path, level: str) -> None:
    project = tmp_path / "shop"
    with running_platform(tmp_path / "home", "--isolation", level, "--nats-port", "none") as platform:
        platform.command("new", str(project)).ok()
        deployed = platform.command("deploy", "--local", "--yes", "--json", cwd=project).ok().json()
        functions = deployed["functions"]
        assert isinstance(functions, list)
        name = str(functions[0]["name"])
        answer = platform.command("invoke", name, "--remote", "--local", "--json", cwd=project).ok().json()
        assert answer["status"] == 200
