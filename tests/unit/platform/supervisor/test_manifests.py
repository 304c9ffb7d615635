"""What ``fnkit platform manifests`` prints."""

from __future__ import annotations

from typing import Any

import pytest

from fnkit.errors import UsageError
from fnkit.platform.data_plane.kubernetes.platform_objects import PLATFORM_POD_LABELS
from fnkit.platform.supervisor.launcher import Installation, build_manifests

IMAGE = "registry.example.com/fnkit:1"


def documents(**changes: Any) -> dict[tuple[str, str], Any]:
    """Return the documents by kind and name."""
    built: list[dict[str, Any]] = build_manifests(Installation(image=IMAGE, **changes))
    return {(one["kind"], one["metadata"]["name"]): one for one in built}


def pod_specs(found: dict[tuple[str, str], Any]) -> dict[str, Any]:
    return {
        kind: one["spec"]["template"]["spec"]
        for (kind, _), one in found.items()
        if kind in {"Deployment", "DaemonSet"}
    }


def test_namespace_of_functions_enforces_the_restricted_profile() -> None:
    found = documents(namespace="shop")
    for name, profile in (("shop", "restricted"), ("shop-registry", "privileged")):
        labels = found["Namespace", name]["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == profile
    namespaces = {kind: one["metadata"].get("namespace") for (kind, _), one in found.items()}
    assert namespaces.pop("Namespace") is None
    assert namespaces.pop("DaemonSet") == "shop-registry"
    assert set(namespaces.values()) == {"shop"}


def test_account_has_rights_in_its_namespace_only() -> None:
    found = documents()
    assert {kind for kind, _ in found} & {"ClusterRole", "ClusterRoleBinding"} == set()
    rules = found["Role", "fnkit-platform"]["rules"]
    assert all("*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]] for rule in rules)
    binding = found["RoleBinding", "fnkit-platform"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "fnkit-platform", "namespace": "fnkit"}]


def test_network_policy_of_the_engine_admits_the_platform() -> None:
    template = documents()["Deployment", "fnkit-platform"]["spec"]["template"]
    assert PLATFORM_POD_LABELS.items() <= template["metadata"]["labels"].items()


def test_pods_have_no_privileges_and_a_read_only_root() -> None:
    for pod in pod_specs(documents()).values():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_only_the_platform_has_an_account() -> None:
    pods = pod_specs(documents())
    assert pods["Deployment"]["serviceAccountName"] == "fnkit-platform"
    assert "serviceAccountName" not in pods["DaemonSet"]
    assert pods["DaemonSet"]["automountServiceAccountToken"] is False


def test_nodes_reach_the_registry_on_localhost() -> None:
    pods = pod_specs(documents(namespace="shop", registry_port=5050))
    command = pods["Deployment"]["containers"][0]["command"]
    assert command[command.index("--registry-host") + 1] == "localhost:5050"
    assert pods["DaemonSet"]["hostNetwork"] is True
    assert pods["DaemonSet"]["containers"][0]["command"][-4:] == [
        *("--port", "5050"),
        *("--target", "fnkit-platform.shop.svc:8480"),
    ]


def test_registry_that_the_user_exposes_needs_no_forwarders() -> None:
    found = documents(registry_host="registry.example.com")
    assert pod_specs(found).keys() == {"Deployment"}
    assert [name for kind, name in found if kind == "Namespace"] == ["fnkit"]
    command = pod_specs(found)["Deployment"]["containers"][0]["command"]
    assert command[command.index("--registry-host") + 1] == "registry.example.com"


def test_options_for_the_start_come_last() -> None:
    pods = pod_specs(documents(arguments=("--domain-suffix", "fn.example.com")))
    assert pods["Deployment"]["containers"][0]["command"][-2:] == ["--domain-suffix", "fn.example.com"]


def test_volume_has_the_size_and_the_class_that_were_asked_for() -> None:
    claim = documents(storage="1Ti", storage_class="fast")["PersistentVolumeClaim", "fnkit-platform"]["spec"]
    assert claim["resources"] == {"requests": {"storage": "1Ti"}}
    assert claim["storageClassName"] == "fast"
    assert "storageClassName" not in documents()["PersistentVolumeClaim", "fnkit-platform"]["spec"]


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "Shop"},
        {"namespace": "a" * 55},  # that of the forwarders would be too long
        {"namespace": ""},
        {"storage": "ten"},
        {"storage": "10 Gi"},
        {"registry_host": "https://registry.example.com"},
        {"registry_host": "registry.example.com/fnkit"},
    ],
    ids=str,
)
def test_invalid_value_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        documents(**changes)
    assert caught.value.hint


@pytest.mark.parametrize("image", ["", "a b", "a\nb"])
def test_invalid_image_is_refused(image: str) -> None:
    with pytest.raises(UsageError):
        build_manifests(Installation(image=image))
