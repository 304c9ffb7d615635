"""What installs the platform in a Kubernetes cluster, as the documents that ``kubectl apply`` takes. Pure.

Two namespaces: the platform and the Pods of functions are in one that enforces the ``restricted`` profile of
Kubernetes' `Pod Security Standards <https://kubernetes.io/docs/concepts/security/pod-security-standards/>`_. The
registry forwarders, which listen on the nodes themselves, need the ``privileged`` profile. They have a namespace of
their own, in which the platform's account has no rights: an account that may create Pods in a privileged namespace
could take over the nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fnkit.errors import UsageError
from fnkit.platform.supervisor.manifest_pods import (
    API_PORT,
    GATEWAY_PORT,
    GATEWAY_TLS_PORT,
    PLATFORM_LABELS,
    PLATFORM_NAME,
    daemon_set,
    deployment,
)

_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTPE]i?)?")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
_FORWARDER_SUFFIX: Final = "-registry"
_MAX_NAMESPACE: Final = 63 - len(_FORWARDER_SUFFIX)

RULES: Final = (
    ("", "pods", ("create", "list", "watch", "delete")),
    ("", "pods/log", ("get",)),
    ("", "secrets", ("create", "update", "list", "delete")),
    ("networking.k8s.io", "networkpolicies", ("create", "update", "delete")),
    ("coordination.k8s.io", "leases", ("get", "create", "update", "delete")),
)
"""What the engine does in its namespace: group, resource and verbs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How to install the platform in a cluster.

    Attributes:
        image: The image of the platform, with ``fnkit`` and ``python3`` on its ``PATH``.
        namespace: The namespace of the platform and its functions.
        storage: Size of the volume, as Kubernetes writes quantities.
        storage_class: Its class; empty for the cluster's default.
        registry_host: Host, and port, at which nodes reach the platform's registry over TLS; empty to forward
            ``localhost`` of each node to it.
        registry_port: The port of ``localhost`` that is forwarded.
        arguments: Further options of ``fnkit platform start``.
    """

    image: str
    namespace: str = "fnkit"
    storage: str = "10Gi"
    storage_class: str = ""
    registry_host: str = ""
    registry_port: int = 5000
    arguments: tuple[str, ...] = ()

    @property
    def forwarder_namespace(self) -> str:
        """The namespace of the registry forwarders."""
        return f"{self.namespace}{_FORWARDER_SUFFIX}"


def build_manifests(installation: Installation) -> list[dict[str, object]]:
    """Return the documents, in an order in which they can be applied.

    Raises:
        UsageError: The namespace, the size, the image or the host of the registry is invalid.
    """
    _check(installation)
    namespace = installation.namespace
    host = installation.registry_host or f"localhost:{installation.registry_port}"
    documents = [
        _namespace(namespace, "restricted"),
        _document("v1", "ServiceAccount", namespace, automountServiceAccountToken=False),
        _role(namespace),
        _role_binding(namespace),
        _claim(installation),
        _service(PLATFORM_NAME, namespace, {"api": (API_PORT, API_PORT)}),
        _service("fnkit-gateway", namespace, {"http": (80, GATEWAY_PORT), "https": (443, GATEWAY_TLS_PORT)}),
        _network_policy(namespace),
        deployment(installation.image, namespace, host, installation.arguments),
    ]
    if not installation.registry_host:
        target = f"{PLATFORM_NAME}.{namespace}.svc:{API_PORT}"
        documents += [
            _namespace(installation.forwarder_namespace, "privileged"),
            daemon_set(installation.image, installation.forwarder_namespace, installation.registry_port, target),
        ]
    return documents


def _check(installation: Installation) -> None:
    name = installation.namespace
    if not _NAMESPACE.fullmatch(name) or len(name) > _MAX_NAMESPACE:
        raise UsageError(
            f"--namespace {name!r} is not the name of a namespace.",
            hint=f"It has at most {_MAX_NAMESPACE} lowercase letters, digits and hyphens.",
        )
    if not _QUANTITY.fullmatch(installation.storage):
        raise UsageError(
            f"--storage {installation.storage!r} is not a size.", hint="Use a quantity of Kubernetes such as 10Gi."
        )
    if not installation.image or not installation.image.isprintable() or " " in installation.image:
        raise UsageError(
            f"--image {installation.image!r} is not the name of an image.",
            hint="Use a name that nodes can pull, such as registry.example.com/fnkit:1.",
        )
    if installation.registry_host and not _HOST.fullmatch(installation.registry_host):
        raise UsageError(
            f"--registry-host {installation.registry_host!r} is not HOST[:PORT].",
            hint="Use the name under which you serve the API's port with TLS, without https://.",
        )


def _document(
    version: str, kind: str, namespace: str, name: str = PLATFORM_NAME, **content: object
) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace, "labels": dict(PLATFORM_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _namespace(name: str, profile: str) -> dict[str, object]:
    labels = {f"pod-security.kubernetes.io/{mode}": profile for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _role(namespace: str) -> dict[str, object]:
    rules = [{"apiGroups": [group], "resources": [name], "verbs": list(verbs)} for group, name, verbs in RULES]
    return _document("rbac.authorization.k8s.io/v1", "Role", namespace, rules=rules)


def _role_binding(namespace: str) -> dict[str, object]:
    return _document(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        namespace,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": PLATFORM_NAME},
        subjects=[{"kind": "ServiceAccount", "name": PLATFORM_NAME, "namespace": namespace}],
    )


def _claim(installation: Installation) -> dict[str, object]:
    spec: dict[str, object] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": installation.storage}},
    }
    if installation.storage_class:
        spec["storageClassName"] = installation.storage_class
    return _document("v1", "PersistentVolumeClaim", installation.namespace, spec=spec)


def _service(name: str, namespace: str, ports: dict[str, tuple[int, int]]) -> dict[str, object]:
    listed = [{"name": name, "port": port, "targetPort": target} for name, (port, target) in ports.items()]
    return _document("v1", "Service", namespace, name, spec={"selector": dict(PLATFORM_LABELS), "ports": listed})


def _network_policy(namespace: str) -> dict[str, object]:
    """Return the rule that lets the API and the gateway be reached, whatever else the namespace denies."""
    ports = [{"port": port, "protocol": "TCP"} for port in (API_PORT, GATEWAY_PORT, GATEWAY_TLS_PORT)]
    return _document(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        namespace,
        spec={
            "podSelector": {"matchLabels": dict(PLATFORM_LABELS)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": ports}],
        },
    )
