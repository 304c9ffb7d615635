"""Fixtures of the SQS trigger tests: one platform per module, and each test against every SQS server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.handler_controller import HandlerController, running_handler_controller
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.sqs_environment import QueueFunctions, SqsEnvironment
from tests.support.sqs_proxy import running_sqs_proxy
from tests.support.sqs_servers import SERVERS, SqsServer, running_sqs


@pytest.fixture(scope="module")
def handlers() -> Iterator[HandlerController]:
    with running_handler_controller() as running:
        yield running


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("sqs"), "--manual-clock") as running:
        yield running


@pytest.fixture(scope="module")
def functions(platform: PlatformUnderTest, handlers: HandlerController) -> QueueFunctions:
    return QueueFunctions(platform, handlers)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[SqsServer]:
    with running_sqs(request.param) as running:
        yield running


@pytest.fixture
def sqs(
    platform: PlatformUnderTest, handlers: HandlerController, functions: QueueFunctions, server: SqsServer
) -> Iterator[SqsEnvironment]:
    handlers.status_for, handlers.is_held, handlers.max_in_flight = lambda _: 200, lambda _: False, 0
    handlers.release.clear()
    with running_sqs_proxy(server.endpoint) as proxy:
        sqs = SqsEnvironment(platform, handlers, functions, server, proxy, server.client())
        yield sqs
        handlers.release.set()
        for trigger in sqs.triggers:
            trigger.delete()
