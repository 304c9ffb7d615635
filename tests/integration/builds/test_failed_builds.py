"""A build that fails, seen through the API: the documented text in the function, the reason in the build log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.builds import archive_of, toolchain
from tests.support.control_process import API, ControlProcess, running_control
from tests.support.waiting import wait_until

SLOW_BUILD = 400.0
"""Seconds. The first build of a function in Go compiles the standard library."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlProcess]:
    with running_control(tmp_path_factory.mktemp("platform")) as running:
        yield running


def deploy(
    control: ControlProcess, name: str, files: Mapping[str, str], **settings: object
) -> tuple[dict[str, object], str]:
    namespace = control.create_namespace(f"n-{name}")
    function = control.create_function(namespace["id"], name, **settings)
    control.upload(function["id"], archive_of(files).getvalue())
    control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    failed = control.wait_until_settled("functions", function["id"], SLOW_BUILD)
    log = Path(control.settings.data_dir, "logs", str(function["id"]), "build.jsonl").read_text()
    return failed, "\n".join(json.loads(line)["message"] for line in log.splitlines())


def test_invalid_package_json(control: ControlProcess) -> None:
    toolchain("Node")
    failed, log = deploy(control, "broken", {"package.json": "{", "handler.js": ""}, runtime="node22")
    assert (failed["status"], failed["build_message"]) == ("error", None)
    assert failed["error_message"] == "an error occurred during function source code build step"
    assert "package.json is not valid JSON" in log


@pytest.mark.long
def test_compile_error(control: ControlProcess) -> None:
    toolchain("Go")
    source = "package hello\n\nfunc Handle() { undefined() }\n"
    files = {"go.mod": "module hello\n", "handler.go": source}
    failed, log = deploy(control, "gopher", files, runtime="go126", handler="Handle")
    assert failed["status"] == "error"
    assert failed["error_message"] == "an error occurred during function source code build step"
    assert "./handler.go:3:17: undefined: undefined" in log
    assert "go ended with exit code 1." in log
    wait_until(lambda: not list(Path(control.settings.data_dir, "deployments").glob(".*")))
