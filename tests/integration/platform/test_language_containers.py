"""Images of functions in every language, which containerd alone pulls and runs: no platform, no gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.builds import RUNTIMES, toolchain
from tests.support.containerd import Containerd, running_containerd
from tests.support.control_process import running_control, zip_archive
from tests.support.core_runtime import CoreRuntimeProcess
from tests.support.fake_data_plane import connected_data_plane
from tests.support.registry import RegistryClient, layer_files

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

_SECRET = "of-the-platform"
_GO_MODULE = "module handler\n\ngo 1.21\n"
_GO_IMPORTS = 'import (\n\t"encoding/json"\n\t"fmt"\n\t"io"\n\t"net/http"\n\t"os"\n)\n\n'
_CARGO = '[package]\nname = "handler"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\naxum = "0.8"\n'


@dataclass(frozen=True)
class ContainerCase:
    """A function that answers with its user, its directory, the variable ``GREETING``, and the request's body.

    Attributes:
        language: Its language.
        handler: Its handler.
        files: Its files.
        own_layer: The directory of its code that is a layer of its own; empty for none.
    """

    language: str
    handler: str
    files: dict[str, str] = field(repr=False)
    own_layer: str = ""


CASES = {
    "node": ContainerCase(
        "Node",
        "handler.handle",
        {
            "handler.js": "const { word } = require('dep');\nexports.handle = (event) => { console.log('called');\n"
            "  return {statusCode: 201, body: [process.getuid(), process.cwd(), process.env.GREETING, event.body,\n"
            "    word]}; };\n",
            "node_modules/dep/index.js": "exports.word = 'vendored';\n",
        },
        "node_modules",
    ),
    "php": ContainerCase(
        "PHP",
        "handler.handle",
        {
            "handler.php": "<?php\nrequire __DIR__ . '/vendor/dep.php';\nfunction handle($event) {\n"
            '  echo "called\\n";\n  return ["statusCode" => 201, "body" => [posix_getuid(), getcwd(),\n'
            '    getenv("GREETING"), mb_substr($event["body"], 0), word()]]; }\n',
            "vendor/dep.php": "<?php\nfunction word() { return 'vendored'; }\n",
        },
        "vendor",
    ),
    "go": ContainerCase(
        "Go",
        "Handle",
        {
            "go.mod": _GO_MODULE,
            "handler.go": f"package handler\n\n{_GO_IMPORTS}"
            "func Handle(w http.ResponseWriter, r *http.Request) {\n\tbody, _ := io.ReadAll(r.Body)\n"
            '\tfolder, _ := os.Getwd()\n\tfmt.Println("called")\n\tw.WriteHeader(201)\n'
            "\tgreeting := os.Getenv(`GREETING`)\n"
            "\tjson.NewEncoder(w).Encode([]any{os.Getuid(), folder, greeting, string(body), `vendored`})\n}\n",
        },
    ),
    "go-main": ContainerCase(
        "Go",
        "Handle",
        {
            "go.mod": _GO_MODULE,
            "main.go": f"package main\n\n{_GO_IMPORTS}"
            "func main() {\n\thttp.HandleFunc(`/`, func(w http.ResponseWriter, r *http.Request) {\n"
            "\t\tbody, _ := io.ReadAll(r.Body)\n\t\tfolder, _ := os.Getwd()\n"
            '\t\tfmt.Println("called")\n\t\tw.WriteHeader(201)\n'
            "\t\tjson.NewEncoder(w).Encode([]any{os.Getuid(), folder, os.Getenv(`GREETING`), string(body), "
            "`vendored`})\n\t})\n\thttp.ListenAndServe(`127.0.0.1:`+os.Getenv(`PORT`), nil)\n}\n",
        },
    ),
    "rust": ContainerCase(
        "Rust",
        "handle",
        {
            "Cargo.toml": _CARGO,
            "src/lib.rs": "use axum::{body::Body, extract::Request, response::Response};\n"
            "use std::os::unix::fs::MetadataExt;\n\n"
            "pub async fn handle(request: Request<Body>) -> Response<Body> {\n"
            "    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();\n"
            '    let user = std::fs::metadata("/proc/self").unwrap().uid();\n'
            '    println!("called");\n'
            "    let folder = std::env::current_dir().unwrap();\n"
            '    let text = format!("[{}, {:?}, {:?}, {:?}, \\"vendored\\"]", user, folder,\n'
            '        std::env::var("GREETING").unwrap(), String::from_utf8_lossy(&body));\n'
            "    Response::builder().status(201).body(Body::from(text)).unwrap()\n}\n",
        },
    ),
}


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


def deployed(registry: RegistryClient, namespace: str, case: ContainerCase) -> str:
    """Deploy a function and return the name of its repository."""
    toolchain(case.language)  # or skip
    function = registry.control.create_function(
        registry.control.create_namespace(namespace)["id"],
        handler=case.handler,
        runtime=RUNTIMES[case.language],
        environment_variables={"GREETING": "hei"},
        secret_environment_variables=[{"key": "TOKEN", "value": _SECRET}],
    )
    return registry.deploy(function, zip_archive(case.files), seconds=600)


@pytest.mark.parametrize("name", CASES)
def test_image_answers_requests_and_logs_to_its_output(
    name: str, registry: RegistryClient, containerd: Containerd
) -> None:
    case = CASES[name]
    repository = deployed(registry, name, case)
    image = f"localhost:{registry.control.settings.api_port}/{repository}:latest"
    containerd.pull(image, f"nologin:{registry.secret_key}")
    with containerd.running(image) as container:
        runtime = CoreRuntimeProcess(container.port, container.output.parent, container.process)
        for _ in range(2):
            reply = runtime.call("/a", method="POST", body="é".encode())
            assert (reply.status, reply.json()) == (201, [1000, "/home/app", "hei", "é", "vendored"])
        assert container.terminate() == 0
        assert runtime.lines.count("called") == 2
        assert "Function Triggered: /a" in runtime.lines
    mount = "type=tmpfs,destination=/tmp,options=mode=1777"
    with containerd.running(image, {}, "--read-only", "--mount", mount) as container:
        runtime = CoreRuntimeProcess(container.port, container.output.parent, container.process)
        assert runtime.call(method="POST", body=b"x").status == 201


@pytest.mark.parametrize("name", ["node", "php", "go"])
def test_same_archive_gives_the_same_layers_without_secrets(name: str, registry: RegistryClient) -> None:
    case = CASES[name]
    first, second = (deployed(registry, f"{name}-{number}", case) for number in (1, 2))
    layers = registry.manifest(first)["layers"]
    assert layers == registry.manifest(second)["layers"]
    config = registry.config(first)
    assert _SECRET not in json.dumps(config)
    own = registry.layers(first)[1:]
    contents = [layer_files(layer) for layer in own]
    assert not any(_SECRET.encode() in content for files in contents for content in files.values())
    if case.own_layer:
        code = f"home/app/function/{case.own_layer}/"
        _, dependencies, others = contents
        assert dependencies
        assert all(path.startswith(code) for path in dependencies)
        assert others
        assert not any(path.startswith(code) for path in others)
