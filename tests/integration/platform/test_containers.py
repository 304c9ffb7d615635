"""Images that containerd alone pulls and runs: no platform, no gateway."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator, Mapping

import pytest

from tests.support.containerd import Container, Containerd, running_containerd
from tests.support.control_process import running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.http_response import HttpResponse
from tests.support.registry import RegistryClient

pytestmark = pytest.mark.long

HANDLER = """
import getpass, os, pathlib, socket, sqlite3, ssl, subprocess, sys, tempfile
import dep

def written(path):
    try:
        pathlib.Path(path).write_text("x")
    except OSError as error:
        return type(error).__name__
    return "written"

def handle(event, context):
    if event["path"] == "/surroundings":
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
        return {
            "user": getpass.getuser(), "uid": os.getuid(), "home": str(pathlib.Path.home()), "folder": os.getcwd(),
            "dep": dep.WORD, "shell": subprocess.check_output("echo hello", shell=True, text=True),
            "code": written("/home/app/function/new"), "system": written("/usr/new"),
            "authorities": bool(ssl.create_default_context().cert_store_stats()["x509_ca"]),
            "greeting": os.environ.get("GREETING"), "token": os.environ.get("TOKEN"),
            "private": sorted(name for name in os.environ if name.startswith("FNKIT_")),
        }
    if event["path"] == "/exit":
        os._exit(7)
    print("called", flush=True)
    return {"statusCode": 201, "headers": {"X-Name": context["functionName"]}, "body": event["body"]}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryClient]:
    with (
        running_control(tmp_path_factory.mktemp("r")) as control,
        connected_data_plane(control.settings.control_socket),
    ):
        yield RegistryClient(control, control.settings.secret_key)


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with running_containerd() as process:
        yield process


def pulled(registry: RegistryClient, containerd: Containerd, files: Mapping[str, str], **fields: object) -> str:
    """Deploy a function, pull its image and return the image's name."""
    namespace = registry.control.create_namespace(f"c-{uuid.uuid4().hex[:6]}")
    function = registry.control.create_function(namespace["id"], handler="handler.handle", **fields)
    image = f"localhost:{registry.control.settings.api_port}/{registry.deploy(function, zip_archive(files))}:latest"
    containerd.pull(image, f"nologin:{registry.secret_key}")
    return image


@pytest.fixture(scope="module")
def image(registry: RegistryClient, containerd: Containerd) -> str:
    files = {"handler.py": HANDLER, "package/dep.py": "WORD = 'vendored'"}
    secret = [{"key": "TOKEN", "value": "of-the-platform"}]
    plain = {"GREETING": "hei"}
    return pulled(registry, containerd, files, environment_variables=plain, secret_environment_variables=secret)


def call(container: Container, path: str, body: bytes | None = None) -> HttpResponse:
    connection = http.client.HTTPConnection("127.0.0.1", container.port, timeout=60)
    try:
        connection.request("POST" if body is not None else "GET", path, body)
        answer = connection.getresponse()
        return HttpResponse(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def test_image_answers_requests_and_logs_to_its_output(containerd: Containerd, image: str) -> None:
    with containerd.running(image) as container:
        answer = call(container, "/a", b"x" * 100_000)
        assert (answer.status, answer.headers["X-Name"], answer.body) == (201, "hello", b"x" * 100_000)
        assert container.terminate() == 0
        assert "Function Triggered: /a" in container.output.read_text()
        assert "called" in container.output.read_text()


def test_handler_finds_what_it_finds_on_the_platform(containerd: Containerd, image: str) -> None:
    with containerd.running(image, {"TOKEN": "given"}) as container:
        found = call(container, "/surroundings").json()
    assert found == {
        "user": "app",
        "uid": 1000,
        "home": "/home/app",
        "folder": "/home/app",
        "dep": "vendored",
        "shell": "hello\n",
        "code": "written",
        "system": "PermissionError",
        "authorities": True,
        "greeting": "hei",
        "token": "given",
        "private": [],
    }


def test_read_only_root_is_enough(containerd: Containerd, image: str) -> None:
    mount = "type=tmpfs,destination=/tmp,options=mode=1777"
    with containerd.running(image, {}, "--read-only", "--mount", mount) as container:
        assert call(container, "/a", b"x").body == b"x"
        found = json.loads(call(container, "/surroundings").body)
    assert (found["code"], found["token"]) == ("OSError", None)


def test_container_ends_with_the_code_of_the_handler(containerd: Containerd, image: str) -> None:
    with containerd.running(image) as container:
        assert call(container, "/exit").status == 502
        assert container.wait() == 7


def test_version_with_a_changed_handler_is_another_image(registry: RegistryClient, containerd: Containerd) -> None:
    image = pulled(registry, containerd, {"handler.py": "def handle(event, context):\n    return 'one'\n"})
    with containerd.running(image) as container:
        assert call(container, "/").body == b"one"
