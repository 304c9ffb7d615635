"""What a Pod's status says about its instance. Pure.

The reasons are those of Kubernetes 1.34 (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lightkube.models.core_v1 import ContainerState, ContainerStateTerminated, PodStatus
from lightkube.resources.core_v1 import Pod

from fnkit.contract.limits import DISK_MAX_BYTES

_PULL_FAILURES: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_START_FAILURES: Final = frozenset(
    {"InvalidImageName", "ErrImageNeverPull", "CreateContainerError", "RunContainerError", "StartError"}
)
_DISRUPTIONS: Final = frozenset({"NodeLost", "NodeShutdown", "Preempting", "Terminated", "NodeAffinity"})
_OUT_OF_DISK: Final = f"out of disk: more than {DISK_MAX_BYTES // (1024 * 1024)} MiB"
_FIRST_SIGNAL: Final = 129
_LAST_SIGNAL: Final = 192


@dataclass(frozen=True, slots=True)
class PodState:
    """The state of a Pod.

    Attributes:
        node: The name of its node; empty until one was chosen.
        is_accepted: Whether the node knows of it.
        unschedulable: Why no node could be chosen; empty if none was tried.
        address: Its address; empty until it has one.
        has_output: Whether its container has been started.
        pull_failure: Why its image could not be pulled so far; empty if it could, or was not tried.
        start_failure: Why its container cannot be started.
        end: Why it ended; empty while it has not.
        was_disrupted: Whether it ended for a reason that lies in the cluster.
        is_being_deleted: Whether somebody is deleting it, such as the controller that empties a lost node.
    """

    node: str = ""
    is_accepted: bool = False
    unschedulable: str = ""
    address: str = ""
    has_output: bool = False
    pull_failure: str = ""
    start_failure: str = ""
    end: str = ""
    was_disrupted: bool = False
    is_being_deleted: bool = False

    @property
    def is_scheduled(self) -> bool:
        """Whether a node was chosen."""
        return bool(self.node)


def read_pod(pod: Pod) -> PodState:
    """Return the state of a Pod."""
    status = pod.status or PodStatus()
    container = _container_state(status)
    scheduled = next((one for one in status.conditions or () if one.type == "PodScheduled"), None)
    waiting = container.waiting
    reason = (waiting.reason or "") if waiting is not None else ""
    message = ((waiting.message or reason) if waiting is not None else "").strip()
    end, was_disrupted = _end(status, container.terminated)
    return PodState(
        node=(pod.spec.nodeName if pod.spec is not None else None) or "",
        is_accepted=status.startTime is not None,
        unschedulable=(scheduled.message or "") if scheduled is not None and scheduled.status == "False" else "",
        address=status.podIP or "",
        has_output=container.running is not None or container.terminated is not None,
        pull_failure=message if reason in _PULL_FAILURES else "",
        start_failure=message if reason in _START_FAILURES else "",
        end=end,
        was_disrupted=was_disrupted,
        is_being_deleted=pod.metadata is not None and pod.metadata.deletionTimestamp is not None,
    )


def _container_state(status: PodStatus) -> ContainerState:
    containers = status.containerStatuses or ()
    return (containers[0].state if containers else None) or ContainerState()


def _end(status: PodStatus, terminated: ContainerStateTerminated | None) -> tuple[str, bool]:
    """Return why a Pod ended, and whether the cluster is the cause."""
    if terminated is None and status.phase not in ("Failed", "Succeeded"):
        return "", False
    reason, message = status.reason or "", status.message or ""
    if reason == "Evicted":
        return (_OUT_OF_DISK, False) if "ephemeral" in message else (f"evicted: {message}", True)
    if terminated is not None and terminated.reason == "OOMKilled":
        return "out of memory", False
    if reason in _DISRUPTIONS:
        return message or reason, True
    if terminated is None:
        return message or reason or "its Pod failed", True
    return describe_exit(terminated.exitCode), False


def describe_exit(code: int) -> str:
    """Return a description of a container's exit code.

    >>> describe_exit(3), describe_exit(137)
    ('exit 3', 'killed by signal 9')
    """
    if _FIRST_SIGNAL <= code <= _LAST_SIGNAL:
        return f"killed by signal {code - _FIRST_SIGNAL + 1}"
    return f"exit {code}"
