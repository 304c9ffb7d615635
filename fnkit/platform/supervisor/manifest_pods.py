"""The Pods of an installation in a cluster: the platform, and a registry forwarder on each node. Pure.

All are non-root, without capabilities and with a read-only root file system. Only the platform has an account of
the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Final

PLATFORM_NAME: Final = "fnkit-platform"
PLATFORM_LABELS: Final = {"app.kubernetes.io/name": PLATFORM_NAME}
"""What the network policy of the engine admits to functions."""
API_PORT: Final = 8480
GATEWAY_PORT: Final = 8481
GATEWAY_TLS_PORT: Final = 8482
VOLUME_DIRECTORY: Final = "/var/lib/fnkit"
_DATA_DIRECTORY: Final = f"{VOLUME_DIRECTORY}/platform"  # the volume itself can be written by the group of the Pod
_TEMPORARY_DIRECTORY: Final = str(PurePosixPath("/", "tmp"))
_FORWARDER_LABELS: Final = {"app.kubernetes.io/name": "fnkit-registry-forwarder"}
_USER_ID: Final = 1000
_START_SECONDS: Final = 600  # min_scale counts, and its images may have to be pulled first
_PROBE_SECONDS: Final = 10
_UNHEALTHY_PROBES: Final = 12  # the supervisor restarts processes itself; this is for when it does not help
_GRACE_SECONDS: Final = 30  # requests in flight have ten, and the Pods of functions are then deleted


def deployment(image: str, namespace: str, registry_host: str, arguments: Sequence[str]) -> dict[str, object]:
    """Return the Deployment of the platform.

    Args:
        image: The image.
        namespace: The namespace, also of the Pods of functions.
        registry_host: Host and port by which nodes reach the registry.
        arguments: Further options of ``fnkit platform start``.
    """
    command = [
        *("fnkit", "platform", "start", "--engine", "kubernetes", "--kube-namespace", namespace),
        *("--registry-host", registry_host, "--host", str(IPv4Address(0))),  # all
        *("--api-port", str(API_PORT), "--gateway-port", str(GATEWAY_PORT), "--tls-port", str(GATEWAY_TLS_PORT)),
        *("--timeout", str(_START_SECONDS), *arguments),
    ]
    ports = {"api": API_PORT, "http": GATEWAY_PORT, "https": GATEWAY_TLS_PORT}
    container = {
        "name": "platform",
        "image": image,
        "command": command,
        "env": [
            {"name": "HOME", "value": VOLUME_DIRECTORY},
            {"name": "FNKIT_HOME", "value": _DATA_DIRECTORY},
        ],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "startupProbe": _health_probe(period=2, failures=_START_SECONDS // 2),
        "readinessProbe": _health_probe(period=_PROBE_SECONDS, failures=2),
        "livenessProbe": _health_probe(period=_PROBE_SECONDS, failures=_UNHEALTHY_PROBES),
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": _container_security(),
        "volumeMounts": [
            {"name": "data", "mountPath": VOLUME_DIRECTORY},
            {"name": "tmp", "mountPath": _TEMPORARY_DIRECTORY},
        ],
    }
    # A driver that changes the group of the whole volume at each start would open private files to it.
    group = {"fsGroup": _USER_ID, "fsGroupChangePolicy": "OnRootMismatch"}
    pod = {
        "serviceAccountName": PLATFORM_NAME,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {**_pod_security(), **group},
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": PLATFORM_NAME}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}},
        ],
    }
    # Recreate: two platforms cannot use one volume.
    content = {"replicas": 1, "strategy": {"type": "Recreate"}}
    return _workload("Deployment", namespace, PLATFORM_LABELS, pod, content)


def daemon_set(image: str, namespace: str, port: int, target: str) -> dict[str, object]:
    """Return the DaemonSet of the registry forwarders.

    Args:
        image: The image of the platform.
        namespace: The namespace, whose Pods may use the network of their node.
        port: The port of the node's loopback addresses.
        target: Host and port of the platform's API.
    """
    command = ["python3", "-m", "fnkit.platform.registry_forwarder", "--port", str(port), "--target", target]
    container = {
        "name": "forwarder",
        "image": image,
        "command": command,
        "readinessProbe": {"tcpSocket": {"host": "127.0.0.1", "port": port}, "periodSeconds": _PROBE_SECONDS},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": _container_security(),
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "terminationGracePeriodSeconds": 5,
        "securityContext": _pod_security(),
        "containers": [container],
    }
    return _workload("DaemonSet", namespace, _FORWARDER_LABELS, pod, {})


def _workload(
    kind: str, namespace: str, labels: dict[str, str], pod: dict[str, object], content: dict[str, object]
) -> dict[str, object]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": next(iter(labels.values())), "namespace": namespace, "labels": dict(labels)},
        "spec": {
            **content,
            "selector": {"matchLabels": dict(labels)},
            "template": {"metadata": {"labels": dict(labels)}, "spec": pod},
        },
    }


def _health_probe(*, period: int, failures: int) -> dict[str, object]:
    return {
        "httpGet": {"path": "/healthz", "port": "api"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _pod_security() -> dict[str, object]:
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER_ID,
        "runAsGroup": _USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container_security() -> dict[str, object]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
