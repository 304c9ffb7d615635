"""Every code sample of ``GET /runtimes`` answers when it is deployed as it stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fnkit.contract.runtimes import RUNTIMES
from fnkit.project.runtimes import creatable_runtimes
from tests.support.builds import toolchain
from tests.support.control_process import api_client, zip_archive
from tests.support.platform import PlatformUnderTest, api_get, call_function, running_platform

pytestmark = pytest.mark.slow

SAMPLES = [one for one in RUNTIMES if one.name in creatable_runtimes() and one.code_sample]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("samples") / "home") as running:
        yield running


def test_each_interpreted_language_has_a_sample() -> None:
    assert {one.language for one in SAMPLES} == {"Node", "PHP", "Python"}


@pytest.mark.parametrize("name", [one.name for one in SAMPLES])
def test_sample_answers(platform: PlatformUnderTest, name: str) -> None:
    listed = api_get(platform, "runtimes")["runtimes"]
    assert isinstance(listed, list)
    runtime = next(one for one in listed if one["name"] == name)
    if runtime["language"] != "Python":
        toolchain(str(runtime["language"]))  # or skip
    api = api_client(platform)
    function = api.create_function(api.create_namespace(name)["id"], name, runtime=name)
    file = f"handler.{runtime['extension']}"
    deployed = api.deploy(function["id"], zip_archive({file: str(runtime["code_sample"])}))
    assert deployed["status"] == "ready", deployed
    reply = call_function(platform, str(deployed["domain_name"]))
    assert (reply.status, reply.body) == (200, f"Hello from {runtime['language']}".encode())
