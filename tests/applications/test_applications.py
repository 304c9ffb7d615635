"""Small programs that do what applications do, deployed through the API and called through the gateway.

All run on one platform for each isolation level. ``table`` has their answers.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.contract.requests import CreateFunction, CreateNamespace, UpdateFunction
from fnkit.contract.resources import Function
from tests.applications.table import APPLICATIONS, Request
from tests.support.http_response import HttpResponse
from tests.support.platform import PlatformUnderTest, api_get, call_function, running_platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "projects" / "applications"
LEVELS = ("cgroup", "namespaces", "landlock", "none") if os.geteuid() == 0 else ("namespaces", "landlock", "none")
CALLER = "other_function"
"""The only one whose answer depends on another application."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """All applications on one platform; their deployments may still be under way.

    Attributes:
        level: The isolation level.
        functions: By the name of the application.
    """

    platform: PlatformUnderTest
    api: FunctionsApi
    level: str
    functions: dict[str, Function]

    def call(self, name: str, request: Request) -> HttpResponse:
        """Call an application as soon as it is deployed."""
        wait_until_ready(self.api, self.functions[name].id)
        body = request.body.encode() if request.body is not None else None
        return call_function(
            self.platform,
            self.functions[name].domain_name,
            request.path,
            method="GET" if body is None else "POST",
            body=body,
            headers={"Content-Type": request.content_type} if body is not None else {},
        )


@pytest.fixture(
    scope="module",
    params=[pytest.param(level, marks=[pytest.mark.long] if number else []) for number, level in enumerate(LEVELS)],
)
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with running_platform(tmp_path_factory.mktemp("applications"), "--isolation", request.param) as platform:
        endpoint = Endpoint(
            api_url=platform.api_url,
            secret_key=platform.secret_key,
            project_id=platform.project_id,
            region="fr-par",
            key_origin="the test",
        )
        with FunctionsApi(endpoint) as api, ThreadPoolExecutor(4) as pool:
            namespace = api.namespaces.create(CreateNamespace(name="apps", project_id=platform.project_id))
            names = [*APPLICATIONS, CALLER]
            functions = pool.map(lambda name: start_deployment(api, namespace.id, name), names)
            yield Deployed(platform, api, request.param, dict(zip(names, functions, strict=True)))


def start_deployment(api: FunctionsApi, namespace_id: str, name: str) -> Function:
    """Create the function of an application, upload its code, and deploy it."""
    variables = APPLICATIONS[name].variables if name in APPLICATIONS else {}
    function = api.functions.create(
        CreateFunction(
            name=name.replace("_", "-"),
            namespace_id=namespace_id,
            runtime="python311",
            handler="handler.handle",
            environment_variables=variables,
            memory_limit=256,
            max_scale=1,
        )
    )
    archive = build_archive(FOLDER / name)
    target = api.functions.upload_url(function.id, len(archive))
    headers = {name: values[0] for name, values in target.headers.items() if name.lower() != "host"}
    api.transport.upload(target.url, headers, io.BytesIO(archive), len(archive))
    return api.functions.update(function.id, UpdateFunction(redeploy=True))


def build_archive(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def wait_until_ready(api: FunctionsApi, function_id: str) -> None:
    wait_until(lambda: api.functions.get(function_id).status != "pending", what="the function is deployed")
    function = api.functions.get(function_id)
    assert (function.status, function.error_message) == ("ready", None)


def decoded(reply: HttpResponse, answer: object) -> object:
    """Return the body in the form of the expected answer."""
    if isinstance(answer, bytes):
        return reply.body
    text = reply.body.decode()
    return text if isinstance(answer, str) else json.loads(text)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_application_answers_as_in_production(deployed: Deployed, name: str) -> None:
    application = APPLICATIONS[name]
    requests = application.requests
    if deployed.level in application.differing:
        reason, answer = application.differing[deployed.level]
        if answer is None:
            pytest.skip(f"at {deployed.level}: {reason}")
        requests = (Request(answer, body=requests[0].body),)
    for request in requests:
        reply = deployed.call(name, request)
        assert (reply.status, decoded(reply, request.answer)) == (request.status, request.answer)
        assert {header: reply.headers[header] for header in request.headers} == request.headers


def test_application_calls_another_one_through_the_gateway(deployed: Deployed) -> None:
    target = {"url": deployed.platform.gateway_url, "host": deployed.functions["query"].domain_name}
    reply = deployed.call(CALLER, Request(None, body=json.dumps(target)))
    assert reply.json() == [200, ["GET", "/from-a-function", {}]]


def test_printed_lines_are_logged_in_order(deployed: Deployed) -> None:
    deployed.call("prints", Request(None))

    def lines() -> list[tuple[str, str]]:
        found = api_get(deployed.platform, f"functions/{deployed.functions['prints'].id}/logs")["logs"]
        assert isinstance(found, list)
        return [(line["stream"], line["message"]) for line in reversed(found) if line["source"] == "user"]

    stdout = wait_until(lambda: [text for stream, text in lines() if stream == "stdout"][:3])
    assert stdout == ["to stdout in parts", "to the descriptor", "é ☃"]
    assert ("stderr", "to stderr") in lines()


def test_every_application_is_in_the_table() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*APPLICATIONS, CALLER}
