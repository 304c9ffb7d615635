"""Functions in every language run as Pods of a cluster, from their source in an archive to an answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.network import HOST_ADDRESS
from tests.support.builds import RUNTIMES, show_rust_toolchains, toolchain
from tests.support.control_process import ControlProcess, api_client, zip_archive
from tests.support.language_functions import ANSWER, FUNCTIONS
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def platform(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    show_rust_toolchains()
    port = free_port()
    registry = f"{HOST_ADDRESS}:{port}"
    cluster.trust_registry(registry)
    with (
        cluster.temporary_namespace() as namespace,
        running_platform(
            tmp_path_factory.mktemp("p"),
            *("--engine", "kubernetes", "--registry-host", registry, "--host", "0.0.0.0", "--api-port", str(port)),
            *("--kubeconfig", str(cluster.kubeconfig), "--kube-namespace", namespace),
        ) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def api(platform: PlatformUnderTest) -> ControlProcess:
    return api_client(platform)


@pytest.mark.parametrize(
    "name",
    # The others are the same but for what the image contains, and take minutes to compile.
    [pytest.param(name, marks=() if name == "node" else pytest.mark.long) for name in FUNCTIONS],
)
def test_function_answers_and_its_output_is_in_the_log(
    name: str, platform: PlatformUnderTest, api: ControlProcess
) -> None:
    case = FUNCTIONS[name]
    toolchain(case.language)  # or skip
    function = api.create_function(
        api.create_namespace(name)["id"],
        name,
        handler=case.handler,
        runtime=RUNTIMES[case.language],
        secret_environment_variables=[{"key": "GREETING", "value": "hei"}],
    )
    deployed = api.deploy(function["id"], zip_archive(case.files), seconds=900)
    assert deployed["status"] == "ready", deployed
    reply = call_function(platform, str(deployed["domain_name"]), method="POST", body="é".encode())
    assert (reply.status, reply.json()) == (201, ANSWER)
    logs = platform.home / "logs" / str(function["id"])
    wait_until(lambda: any('"called"' in file.read_text() for file in logs.glob("0*.jsonl")), what="its output")
