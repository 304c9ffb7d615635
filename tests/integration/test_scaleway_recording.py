"""``make scaleway`` with a local platform in place of the real API: it records, cleans up, repeats no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fnkit.client import Endpoint
from tests.conformance.test_recorded_traffic import RUNTIME, replay
from tests.scaleway.program import main
from tests.scaleway.recording import LeakError, RecordingTransport
from tests.support.conformance_data import conformance_directory
from tests.support.control_process import API, api_client
from tests.support.platform import PlatformUnderTest, api_get


def record(platform: PlatformUnderTest, folder: Path, write: Callable[[str], None], **environ: str) -> int:
    return main(["--output", str(folder), "--runtime", RUNTIME], {**platform.environment, **environ}, write)


def namespaces(platform: PlatformUnderTest) -> dict[str, str]:
    """Return the name and ID of each namespace that a run created."""
    found = api_get(platform, "namespaces?page_size=100")["namespaces"]
    assert isinstance(found, list)
    return {one["name"]: one["id"] for one in found if one["name"].startswith("fnkit-recording-")}


def test_missing_credentials_are_named_in_one_line(tmp_path: Path) -> None:
    lines: list[str] = []
    assert main(["--output", str(tmp_path)], {"SCW_DEFAULT_PROJECT_ID": "x"}, lines.append) == 2
    assert lines == ["Set SCW_SECRET_KEY (and SCW_DEFAULT_REGION, if it is not fr-par) to record the real API."]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def recording(platform: PlatformUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of a complete run."""
    folder = tmp_path_factory.mktemp("recording")
    lines: list[str] = []
    assert record(platform, folder, lines.append) == 0, lines
    assert any("calls of the function" in line and "GB-s" in line for line in lines)
    (file,) = folder.iterdir()
    return file


@pytest.mark.slow
def test_recording_has_every_step_and_no_secret(platform: PlatformUnderTest, recording: Path) -> None:
    text = recording.read_text()
    for private in (platform.secret_key, platform.project_id, platform.access_key, "signature="):
        assert private not in text
    operations = [json.loads(line)["op"] for line in text.splitlines()]
    assert {"CreateNamespace", "@upload", "@call", "@logs", "UpdateFunction", "ListCrons", "ListTriggers"} <= {
        *operations
    }
    assert (operations[0], operations[-1]) == ("ListFunctionRuntimes", "GetNamespace")
    assert json.loads(text.splitlines()[-1])["status"] == 404
    assert namespaces(platform) == {}


@pytest.mark.slow
def test_recording_can_be_replayed(platform: PlatformUnderTest, recording: Path) -> None:
    replayed = replay(conformance_directory(), platform, [str(recording)])
    assert replayed.returncode == 0, replayed.stdout


@pytest.mark.slow
@pytest.mark.parametrize("step", ["The namespace", "The function is ready", "A cron"])
def test_interrupted_run_leaves_nothing(platform: PlatformUnderTest, tmp_path: Path, step: str) -> None:
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if line.startswith(step):
            raise KeyboardInterrupt

    assert record(platform, tmp_path, interrupt) == 130
    assert "Interrupted." in lines
    assert namespaces(platform) == {}
    assert [file.name.endswith("-incomplete.jsonl") for file in tmp_path.iterdir()] == [True]


def test_what_cannot_be_deleted_is_named(platform: PlatformUnderTest, tmp_path: Path) -> None:
    control = api_client(platform)
    key = control.request("POST", "/fnkit/v1/keys", {}).ok()
    lines: list[str] = []

    def lose_the_key(line: str) -> None:
        lines.append(line)
        if line.startswith("The namespace"):
            control.request("DELETE", f"/fnkit/v1/keys/{key['access_key']}").ok()

    try:
        assert record(platform, tmp_path, lose_the_key, SCW_SECRET_KEY=str(key["secret_key"])) == 1
        (left,) = namespaces(platform)
        assert any(line.startswith(f"Left, please delete it: the namespace {left} in fr-par") for line in lines)
        assert str(key["secret_key"]) not in "".join(lines) + "".join(one.read_text() for one in tmp_path.iterdir())
    finally:
        for namespace_id in namespaces(platform).values():
            control.request("DELETE", f"{API}/namespaces/{namespace_id}").ok()


@pytest.mark.parametrize("leak", ["PRIVATE", "eyJhbGciOi.eyJ", "x?X-Amz-Signature=1"])
def test_recording_with_a_credential_is_not_rendered(leak: str) -> None:
    endpoint = Endpoint(api_url="http://x", secret_key="k", project_id="p", region="fr-par", key_origin="test")
    transport = RecordingTransport(endpoint)
    transport.record(op="@call", method="GET", response_body=leak)
    with pytest.raises(LeakError):
        transport.render({"private": "PRIVATE"})
