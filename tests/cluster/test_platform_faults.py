"""What the user of a platform is told when its cluster refuses it, or has no room for a function."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.certificates import ClusterCertificates
from tests.cluster.cluster import Cluster
from tests.cluster.network import HOST_ADDRESS, SERVER_ADDRESS
from tests.support.failed_start import failed_start
from tests.support.kubeconfig import write_kubeconfig
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.ports import free_port
from tests.support.project_tree import SETTINGS, write_files
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

SERVER = f"https://{SERVER_ADDRESS}:6443"
HANDLER = """
from fnkit import function

@function(memory={memory}, timeout="20s")
def hello(event, context):
    print("served")
    return "hello"
"""


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"faults-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    wait_until(lambda: cluster.items("serviceaccounts", f"--namespace={name}"))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def authority(cluster: Cluster) -> Path:
    return cluster.kubeconfig.with_name("ca.crt")


def leftovers(cluster: Cluster, namespace: str) -> str:
    """Return the names of the objects that a platform has left."""
    kinds = "pods,secrets,networkpolicies,leases"
    selector = "--selector=app.kubernetes.io/managed-by=fnkit"
    return cluster.kubectl("get", kinds, f"--namespace={namespace}", selector, "--output=name")


# Starts that the cluster refuses


def test_start_fails_with_the_certificate_of_another_authority(cluster: Cluster, tmp_path: Path) -> None:
    others = ClusterCertificates(tmp_path / "others").directory
    config = write_kubeconfig(
        tmp_path / "config", SERVER, certificate_authority=others / "ca.crt", token="secret-token"
    )
    error = failed_start(tmp_path / "home", "--detach", kubeconfig=config)
    assert error["code"] == "cluster-unreachable"
    assert "certificate" in str(error["message"]).lower()
    assert "secret-token" not in str(error)
    assert cluster.ready_nodes()


def test_start_fails_with_a_client_certificate_that_is_unknown(cluster: Cluster, tmp_path: Path) -> None:
    others = ClusterCertificates(tmp_path / "others").directory
    config = write_kubeconfig(
        tmp_path / "config",
        SERVER,
        certificate_authority=authority(cluster),
        client_certificate=str(others / "admin.crt"),
        client_key=str(others / "admin.key"),
    )
    error = failed_start(tmp_path / "home", "--detach", kubeconfig=config)
    assert error["code"] == "cluster-refused"
    assert "Unauthorized" in str(error["message"])


@pytest.mark.parametrize("mode", [("--detach",), ()], ids=["background", "foreground"])
def test_start_fails_without_rights(
    cluster: Cluster, namespace: str, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    token = cluster.kubectl("create", "token", "default", f"--namespace={namespace}").strip()
    config = write_kubeconfig(
        tmp_path / "config",
        SERVER,
        certificate_authority=authority(cluster),
        namespace=namespace,
        token=token,
    )
    error = failed_start(tmp_path / "home", *mode, kubeconfig=config)
    assert error["code"] == "cluster-refused"
    assert f"system:serviceaccount:{namespace}:default" in str(error["message"])
    assert "fnkit platform manifests" in str(error["hint"])
    assert token not in str(error)


def test_start_fails_in_a_namespace_that_does_not_exist(cluster: Cluster, tmp_path: Path) -> None:
    error = failed_start(
        tmp_path / "home", "--kube-namespace", "missing", "--detach", kubeconfig=cluster.kubeconfig
    )
    assert error["code"] == "cluster-refused"
    assert 'namespaces "missing" not found' in str(error["message"])


def test_start_with_too_few_rights_leaves_nothing(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "half", "namespace": namespace},
        "rules": [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]},
        ],
    }
    cluster.kubectl("apply", "-f", "-", document=role)
    account = f"--serviceaccount={namespace}:default"
    cluster.kubectl("create", "rolebinding", "half", "--role=half", account, f"--namespace={namespace}")
    token = cluster.kubectl("create", "token", "default", f"--namespace={namespace}").strip()
    config = write_kubeconfig(
        tmp_path / "config",
        SERVER,
        certificate_authority=authority(cluster),
        namespace=namespace,
        token=token,
    )
    error = failed_start(tmp_path / "home", "--detach", kubeconfig=config)
    assert error["code"] == "cluster-refused"
    assert "networkpolicies" in str(error["message"])
    assert leftovers(cluster, namespace) == ""


# A platform whose namespace has too little room


@pytest.fixture
def platform(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[PlatformUnderTest]:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "limit", "namespace": namespace},
        "spec": {"hard": {"requests.memory": "400Mi"}},
    }
    cluster.kubectl("apply", "-f", "-", document=quota)
    port = free_port()
    registry = f"{HOST_ADDRESS}:{port}"
    cluster.trust_registry(registry)
    with running_platform(
        tmp_path / "home",
        *("--engine", "kubernetes", "--registry-host", registry, "--host", "0.0.0.0", "--api-port", str(port)),
        *("--kubeconfig", str(cluster.kubeconfig), "--kube-namespace", namespace),
    ) as running:
        yield running
    assert leftovers(cluster, namespace) == ""


def test_deployment_that_the_quota_never_allows_fails_with_its_text(
    platform: PlatformUnderTest, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    write_files(project, {"handler.py": HANDLER.format(memory=128), "fnkit.toml": SETTINGS})
    deployed = platform.command("deploy", "--local", "--json", "--yes", cwd=project).ok().json()
    domain = str(deployed["functions"][0]["domain"])
    assert call_function(platform, domain).body == b"hello"
    (project / "handler.py").write_text(HANDLER.format(memory=1024))
    refused = platform.command("deploy", "--local", "--yes", cwd=project)
    assert refused.code == 1
    assert "exceeded quota: limit, requested: requests.memory=1072Mi" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    wait_until(partial(_answers, platform, domain))


def _answers(platform: PlatformUnderTest, domain: str) -> bool:
    return call_function(platform, domain).body == b"hello"
