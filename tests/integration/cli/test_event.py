"""``fnkit event``: the printed events, on terminals of two widths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.golden import Golden
from tests.support.terminal import terminal

KINDS = {
    "http": ("--path", "/orders/a%20b?page=2", "--data", '{"note": "' + "long " * 20 + 'ü"}', "-H", "X-Shop: tea"),
    "cron": ("--args", '{"full": true}'),
    "nats": ("--data", "order 17"),
    "sqs": ("--data", "AAAA"),
}


@pytest.mark.parametrize("columns", [100, 60])
@pytest.mark.parametrize("kind", KINDS)
def test_event_on_a_terminal_matches_the_golden_file(
    kind: str, columns: int, golden: Golden, tmp_path: Path
) -> None:
    with terminal("event", kind, *KINDS[kind], directory=tmp_path, columns=columns) as shown:
        assert shown.wait() == 0
    golden.check(f"cli/event/{kind}-{columns}.json", shown.plain)
    assert json.loads(shown.plain)["resource"] == ""


def test_event_is_the_same_with_json_option(fnkit: Command) -> None:
    arguments = ("event", "nats", "--data", "é")
    assert json.loads(fnkit(*arguments).ok().stdout) == fnkit(*arguments, "--json").ok().json()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("cron", "--args", "[1]"), "--args is not a JSON object"),
        (("cron", "--args", "{"), "--args is not JSON"),
        (("cron", "nightly"), "The project has no cron nightly"),
        (("cron", "nightly", "--args", "{}"), "exclude each other"),
        (("http", "--path", "/%zz"), "The request path is invalid"),
        (("nats", "--data", "@missing"), "missing cannot be read"),
    ],
)
def test_mistakes_are_explained(fnkit: Command, project: Path, arguments: tuple[str, ...], part: str) -> None:
    (project / "fnkit.toml").write_text('name = "events"\n')
    failed = fnkit("event", *arguments, cwd=project)
    assert failed.code == 2
    assert part in failed.stderr


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ({"deliveries": [], "total": 0}, "has 0 deliveries"),
        ({"kind": "nats", "body": "x", "is_base64": False, "is_truncated": True}, "is truncated"),
        ({"kind": "nats", "body": "?", "is_base64": True, "is_truncated": False}, "is not base64"),
    ],
)
def test_unusable_recordings_are_explained(
    fnkit: Command, project: Path, document: dict[str, object], part: str
) -> None:
    (project / "fnkit.toml").write_text('name = "events"\n')
    failed = fnkit("invoke", "any", "--event", "-", cwd=project, stdin=json.dumps(document))
    assert failed.code == 2
    assert part in failed.stderr
