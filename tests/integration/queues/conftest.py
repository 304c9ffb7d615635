"""Fixtures of the SQS trigger tests: one platform per module, and each test against every SQS server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.queue_functions import QueueFunctions
from tests.support.recorder import Recorder, running_recorder
from tests.support.sqs_proxy import running_proxy
from tests.support.sqs_servers import KINDS, SqsServer, running_sqs
from tests.support.sqs_stage import Stage


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with running_recorder() as running:
        yield running


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("sqs"), "--manual-clock") as running:
        yield running


@pytest.fixture(scope="module")
def functions(platform: PlatformUnderTest, recorder: Recorder) -> QueueFunctions:
    return QueueFunctions(platform, recorder)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[SqsServer]:
    with running_sqs(request.param) as running:
        yield running


@pytest.fixture
def stage(
    platform: PlatformUnderTest, recorder: Recorder, functions: QueueFunctions, server: SqsServer
) -> Iterator[Stage]:
    recorder.answer, recorder.holds, recorder.at_once = lambda _: 200, lambda _: False, 0
    recorder.release.clear()
    with running_proxy(server.endpoint) as proxy:
        stage = Stage(platform, recorder, functions, server, proxy, server.client())
        yield stage
        recorder.release.set()
        for trigger in stage.triggers:
            trigger.delete()
