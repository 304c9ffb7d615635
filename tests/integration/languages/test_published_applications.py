"""Functions as others write them run unchanged: each project has what published examples of a language need.

The projects are in ``tests/projects/languages``. In the archives, their folder ``modules`` is ``node_modules``, and
``dot-env`` is ``.env``: git ignores those here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.support.builds import RUNTIMES, show_rust_toolchains, toolchain
from tests.support.control_process import api_client, zip_archive
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.toolchains import require_program

PROJECTS: Final = Path(__file__).parents[2] / "projects/languages"
FORM_TYPE: Final = "multipart/form-data; boundary=x0"
FORM: Final = (
    '--x0\r\nContent-Disposition: form-data; name="data"; filename="é.txt"\r\nContent-Type: text/plain\r\n\r\n'
    "line 1\r\nline é\r\n--x0--\r\n"
).encode()


@dataclass(frozen=True)
class Call:
    """A request to a function, and its response: ``answer`` is its body, or an object if it is JSON."""

    answer: object
    path: str = "/"
    body: bytes | None = None
    method: str = ""
    status: int = 200
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A function of a project."""

    project: str
    language: str
    handler: str
    calls: tuple[Call, ...]
    variables: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.project}:{self.handler}"


def _upload(answer: object) -> Call:
    return Call(answer, body=FORM, headers={"Content-Type": FORM_TYPE})


INTERPRETED: Final = (
    Published(
        "node-module",
        "Node",
        "handler.handle",
        (
            Call("USE POST", status=405, content_type="text/plain"),
            Call("120", body=b"5", content_type="text/plain"),
        ),
    ),
    Published("node-module", "Node", "jobs/Cleanup.handleCleanup", (Call("CLEANED DISK", "/?what=disk"),)),
    Published(
        "node-commonjs",
        "Node",
        "ImageTransform.handle",
        (
            Call({"key": "resized-a.PNG", "type": "png", "width": 300, "height": 200}, "/?key=a.PNG", status=201),
            Call("", "/?key=unknown"),
        ),
        {"RESIZED_WIDTH": "300"},
    ),
    Published("node-commonjs", "Node", "BucketScan.handle", (Call({"lines": 10}),)),
    Published(
        "node-tsc",
        "Node",
        "out/handler.handle",
        (
            Call("Hello Ada", "/?name=Ada"),
            Call("An error occured during handler execution: nobody was named\n", "/?name=nobody", status=500),
        ),
    ),
    Published(
        "node-multipart",
        "Node",
        "handler.upload",
        (Call("Bad Request", status=400), _upload([["é.txt", "line 1\r\nline é"]])),
    ),
    Published(
        "php-badge",
        "PHP",
        "handler.handler",
        (
            Call(
                '<svg width="213"><path fill="#ff0000"/><text>a&amp;b: approved</text></svg>\n',
                "/?text=a%26b&color=%23ff0000",
                content_type="image/svg+xml",
            ),
        ),
    ),
    Published("php-badge", "PHP", "Factorial.handle", (Call("120", body=b"5", content_type="text/plain"),)),
)
COMPILED: Final = (
    Published(
        "go-tools",
        "Go",
        "Handle",
        (
            Call("120", body=b"5", content_type="text/plain; charset=utf-8"),
            Call('strconv.Atoi: parsing "": invalid syntax\n'),
        ),
    ),
    Published("go-tools", "Go", "Upload", (_upload("é.txt has 15 bytes"),)),
    Published(
        "rust-multipart",
        "Rust",
        "handler_with_cors",
        (
            _upload("é.txt has 15 bytes"),
            Call("preflight", method="OPTIONS", headers={"Access-Control-Allow-Methods": "*"}),
            Call("no form: Invalid `boundary` for `multipart/form-data` request", status=400),
        ),
    ),
    Published(
        "rust-workspace",
        "Rust",
        "handler",
        (Call("factorial 120, refused: true", body=b"5"), Call("Method not allowed", status=405)),
    ),
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    show_rust_toolchains()
    with running_platform(tmp_path_factory.mktemp("published") / "home") as running:
        yield running


def archive_of(project: str) -> dict[str, str]:
    """Return the files of a project as they are uploaded."""
    files = {}
    for path in sorted((PROJECTS / project).rglob("*")):
        if path.is_file():
            name = path.relative_to(PROJECTS / project).as_posix()
            files[re.sub("^modules/", "node_modules/", name).replace("dot-env", ".env")] = path.read_text("utf-8")
    return files


def check(platform: PlatformUnderTest, published: Published) -> None:
    toolchain(published.language)  # or skip
    api = api_client(platform)
    runtime = RUNTIMES[published.language]
    namespace = api.create_namespace(re.sub(r"\W", "-", str(published)).lower())["id"]
    function = api.create_function(
        namespace,
        "published",
        runtime=runtime,
        handler=published.handler,
        environment_variables=published.variables,
        max_scale=1,
    )
    deployed = api.deploy(function["id"], zip_archive(archive_of(published.project)), seconds=800)
    assert deployed["status"] == "ready", deployed
    for call in published.calls:
        method = call.method or ("GET" if call.body is None else "POST")
        reply = call_function(
            platform, str(deployed["domain_name"]), call.path, method=method, body=call.body, headers=call.headers
        )
        text = reply.body.decode()
        assert (reply.status, text if isinstance(call.answer, str) else json.loads(text)) == (
            call.status,
            call.answer,
        )
        if call.content_type:
            assert reply.headers["Content-Type"] == call.content_type


@pytest.mark.slow
@pytest.mark.parametrize("published", INTERPRETED, ids=str)
def test_function_of_an_interpreted_language_runs_unchanged(
    platform: PlatformUnderTest, published: Published
) -> None:
    if published.language == "PHP":
        require_program("composer")
    check(platform, published)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("published", COMPILED, ids=str)
def test_function_of_a_compiled_language_runs_unchanged(platform: PlatformUnderTest, published: Published) -> None:
    check(platform, published)
