"""Images of functions in every language, which containerd alone pulls and runs: no platform, no gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.builds import RUNTIMES, show_rust_toolchains, toolchain
from tests.support.containerd import Containerd, running_containerd
from tests.support.control_process import running_control, zip_archive
from tests.support.core_runtime import CoreRuntimeProcess
from tests.support.fake_data_plane import connected_data_plane
from tests.support.language_functions import ANSWER, FUNCTIONS, LanguageFunction
from tests.support.registry import RegistryClient, layer_files

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

_SECRET = "of-the-platform"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryClient]:
    show_rust_toolchains()
    with (
        running_control(tmp_path_factory.mktemp("r")) as control,
        connected_data_plane(control.settings.control_socket),
    ):
        yield RegistryClient(control, control.settings.secret_key)


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with running_containerd() as process:
        yield process


def deployed(registry: RegistryClient, namespace: str, case: LanguageFunction) -> str:
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_image_answers_requests_and_logs_to_its_output(
    name: str, registry: RegistryClient, containerd: Containerd
) -> None:
    case = FUNCTIONS[name]
    repository = deployed(registry, name, case)
    image = f"localhost:{registry.control.settings.api_port}/{repository}:latest"
    containerd.pull(image, f"nologin:{registry.secret_key}")
    with containerd.running(image) as container:
        runtime = CoreRuntimeProcess(container.port, container.output.parent, container.process)
        for _ in range(2):
            reply = runtime.call("/a", method="POST", body="é".encode())
            assert (reply.status, reply.json()) == (201, ANSWER)
        assert container.terminate() == 0
        assert runtime.lines.count("called") == 2
        assert "Function Triggered: /a" in runtime.lines
    if toolchain(case.language).startswith("/tmp/"):
        return  # an image has programs where this machine has them, and the next container covers that directory
    mount = "type=tmpfs,destination=/tmp,options=mode=1777"
    with containerd.running(image, {}, "--read-only", "--mount", mount) as container:
        runtime = CoreRuntimeProcess(container.port, container.output.parent, container.process)
        assert runtime.call(method="POST", body=b"x").status == 201


@pytest.mark.parametrize("name", ["node", "php", "go"])
def test_same_archive_gives_the_same_layers_without_secrets(name: str, registry: RegistryClient) -> None:
    case = FUNCTIONS[name]
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
