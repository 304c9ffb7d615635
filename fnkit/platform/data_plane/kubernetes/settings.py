"""Settings of the Kubernetes engine, and the names by which it knows what it has created in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.engine.scale_down import ScaleDown
from fnkit.platform.model.derived_keys import platform_id

LABEL_PREFIX: Final = "fnkit.dev"
PLATFORM_LABEL: Final = f"{LABEL_PREFIX}/platform"
FUNCTION_LABEL: Final = f"{LABEL_PREFIX}/function-id"
GENERATION_LABEL: Final = f"{LABEL_PREFIX}/generation"
REVISION_LABEL: Final = f"{LABEL_PREFIX}/revision"
NETWORK_LABEL: Final = f"{LABEL_PREFIX}/private-network"
_MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "fnkit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesEngineSettings:
    """Settings of the Kubernetes engine.

    Attributes:
        kubeconfig: The file that describes the cluster; empty for the account of the Pod that this process runs in.
        context: The context in it; empty for its current one.
        namespace: The namespace of everything that is created; empty for that of the context.
        labels: Labels of everything that is created, in addition to the platform's own.
        registry_host: Host, and port, by which nodes reach the platform's registry.
        secret_key: The platform's secret key, from which all keys in the cluster are derived.
        holder: Names this platform on this machine, so that two with one secret key are noticed.
        logs_directory: Holds the logs of functions.
        log_positions_file: Holds how far the logs of Pods have been read.
        scale_down: When idle instances end.
        queue_per_instance: How many requests may be queued per instance of ``max_scale`` before requests fail with
            503.
        start_seconds: How long a start may take, from the request for its Pod to the imported handler.
        pull_seconds: For how long an image may not be there: the registry may be restarting, and nodes try again
            after 10 and 20 seconds.
        hard_cpu: Limit functions to their mVCPU, instead of using it as a weight only.
    """

    kubeconfig: str
    context: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    registry_host: str
    secret_key: str = field(repr=False)
    holder: str
    logs_directory: Path
    log_positions_file: Path
    scale_down: ScaleDown = field(default_factory=ScaleDown)
    queue_per_instance: int = 100
    start_seconds: float = 300.0
    pull_seconds: float = 60.0
    hard_cpu: bool = False

    @property
    def platform_id(self) -> str:
        """The value of the label of everything that this platform has created."""
        return platform_id(self.secret_key)

    @property
    def all_labels(self) -> dict[str, str]:
        """The labels of everything that this platform creates."""
        return {**self.labels, **_MANAGED_BY, PLATFORM_LABEL: self.platform_id}

    @property
    def object_prefix(self) -> str:
        """The start of the names of what exists once for a platform."""
        return f"fnkit-{self.platform_id}"
