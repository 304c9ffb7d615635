"""What a deploy shows while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.platform import PlatformUnderTest
from tests.support.terminal import terminal

pytestmark = pytest.mark.slow

HANDLERS = """
from fnkit import cron, function


@function
def orders(event, context):
    return "ok"


@cron("0 4 * * *", name="nightly")
def report(event, context):
    return "ok"
"""


def test_deploy_counts_every_resource_and_then_shows_where_the_functions_are(
    platform: PlatformUnderTest, project: Path
) -> None:
    (project / "main.py").write_text(HANDLERS)
    (project / "fnkit.toml").write_text('name = "counted"\n')
    fnkit = platform.command
    try:
        home = {"FNKIT_HOME": str(platform.home)}
        with terminal("deploy", "--local", directory=project, columns=60, variables=home) as session:
            assert session.wait() == 0
        for text in (
            "1 of 3",
            "2 of 3",
            "3 of 3",
            "FUNCTION  RESULT\n",
            "  url http://",
            "  + cron nightly  0 4 * * *",
        ):
            assert text in session.plain, text
        piped = fnkit("deploy", "--local").ok()
        assert piped.stderr == ""
        assert "unchanged" in piped.stdout
        gone = fnkit("destroy", "--local", "--yes").ok()
        assert [line[-6:] for line in gone.stderr.splitlines()] == ["1 of 2", "2 of 2"]
    finally:
        fnkit("destroy", "--local", "--yes")
