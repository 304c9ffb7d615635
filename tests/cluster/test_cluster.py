"""The image of a function runs as a pod on every node of a real cluster, pulled from the platform's registry."""

from __future__ import annotations

import base64
import http.client
import json
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import NODES
from tests.cluster.network import HOST_ADDRESS
from tests.support.control_process import running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.registry import RegistryClient
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


def running_pods(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Return node and address of each pod that runs."""
    found = {}
    for pod in cluster.items("pods"):
        status, spec, metadata = pod["status"], pod["spec"], pod["metadata"]
        assert isinstance(status, dict)
        assert isinstance(spec, dict)
        assert isinstance(metadata, dict)
        if status.get("phase") == "Running":
            found[str(metadata["name"])] = (str(spec["nodeName"]), str(status["podIP"]))
    return found


def call(address: str) -> bytes:
    """Return what the function says, or nothing while it does not listen."""
    connection = http.client.HTTPConnection(address, 8080, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    except OSError:
        return b""
    finally:
        connection.close()


def test_image_of_a_function_runs_on_every_node(cluster: Cluster, tmp_path: Path) -> None:
    with (
        running_control(tmp_path, host="0.0.0.0") as control,
        connected_data_plane(control.settings.control_socket),
    ):
        registry = RegistryClient(control, control.settings.secret_key)
        function = control.create_function(control.create_namespace()["id"], handler="handler.handle")
        source = "import os\ndef handle(event, context):\n    return f'{os.getuid()} in {os.uname().nodename}'\n"
        repository = registry.deploy(function, zip_archive({"handler.py": source}))
        host = f"{HOST_ADDRESS}:{control.settings.api_port}"
        cluster.trust_registry(host)
        login = base64.b64encode(f"nologin:{registry.secret_key}".encode()).decode()
        credentials = json.dumps({"auths": {host: {"auth": login}}}).encode()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "registry"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(credentials).decode()},
        }
        cluster.kubectl("apply", "-f", "-", document=secret)
        pods = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "f"},
            "spec": {
                "selector": {"matchLabels": {"app": "f"}},
                "template": {
                    "metadata": {"labels": {"app": "f"}},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "imagePullSecrets": [{"name": "registry"}],
                        "containers": [
                            {
                                "name": "f",
                                "image": f"{host}/{repository}:1",
                                "securityContext": {"runAsNonRoot": True, "allowPrivilegeEscalation": False},
                            }
                        ],
                    },
                },
            },
        }
        cluster.kubectl("apply", "-f", "-", document=pods)
        wait_until(lambda: len(running_pods(cluster)) == NODES, 300, what="a pod on each node")
        running = running_pods(cluster)
        assert {node for node, _ in running.values()} == cluster.ready_nodes()
        for name, (_, address) in running.items():
            assert wait_until(partial(call, address)).decode() == f"1000 in {name}"
        cluster.kubectl("delete", "daemonset", "f", "--grace-period=0", "--force")


@pytest.mark.long
def test_node_that_is_cut_off_is_noticed_and_comes_back(cluster: Cluster) -> None:
    nodes = cluster.ready_nodes()
    cluster.network.set_link(2, is_up=False)
    wait_until(lambda: len(cluster.ready_nodes()) == NODES - 1)
    cluster.network.set_link(2, is_up=True)
    wait_until(lambda: cluster.ready_nodes() == nodes)


def test_node_joins(cluster: Cluster) -> None:
    cluster.join_node(NODES + 1)
    cluster.wait_for_nodes(NODES + 1)
    assert len(cluster.ready_nodes()) == NODES + 1


def test_api_server_comes_back(cluster: Cluster) -> None:
    nodes = cluster.ready_nodes()
    cluster.stop_api_server()
    cluster.start_api_server()
    wait_until(lambda: cluster.ready_nodes() == nodes)
