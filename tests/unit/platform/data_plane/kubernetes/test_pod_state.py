"""What the status of a Pod says about its instance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod

from fnkit.platform.data_plane.kubernetes.pod_state import PodState, read_pod


def pod(status: dict[str, object] | None = None, *, node: str = "node-1", state: object = None) -> Pod:
    """Return a Pod with one container in a state."""
    document: dict[str, object] = {"metadata": {"name": "p"}, "spec": {"containers": [], "nodeName": node}}
    container = {"name": "function", "image": "i", "imageID": "i", "ready": True, "restartCount": 0, "state": state}
    containers = [container] if state is not None else []
    document["status"] = {"phase": "Pending", "containerStatuses": containers, **(status or {})}
    return cast("Pod", Pod.from_dict(document))


def terminated(code: int, reason: str = "Error") -> dict[str, object]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def test_new_pod_has_nothing() -> None:
    assert read_pod(Pod()) == PodState()


def test_running_pod() -> None:
    state = read_pod(pod({"phase": "Running", "podIP": "10.0.0.7"}, state={"running": {}}))
    assert state == PodState(node="node-1", address="10.0.0.7", has_output=True)


def test_pod_that_is_being_deleted() -> None:
    deleted = Pod(metadata=ObjectMeta(name="p", deletionTimestamp=datetime.now(UTC)))
    assert read_pod(deleted).is_being_deleted
    assert not read_pod(pod()).is_being_deleted


def test_pod_without_a_node_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    state = read_pod(pod({"conditions": [condition]}, node=""))
    assert (state.is_scheduled, state.unschedulable) == (False, "0/3 nodes are available")


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_image_that_cannot_be_pulled(reason: str) -> None:
    state = read_pod(pod(state={"waiting": {"reason": reason, "message": "not found"}}))
    assert (state.pull_failure, state.start_failure, state.has_output) == ("not found", "", False)


def test_container_that_cannot_be_created() -> None:
    state = read_pod(pod(state={"waiting": {"reason": "CreateContainerError", "message": "no such user"}}))
    assert (state.pull_failure, state.start_failure) == ("", "no such user")


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "CreateContainerConfigError"])
def test_other_waiting_is_no_failure(reason: str) -> None:
    state = read_pod(pod(state={"waiting": {"reason": reason}}))
    assert (state.pull_failure, state.start_failure) == ("", "")


@pytest.mark.parametrize(
    ("status", "state", "end", "is_disruption"),
    [
        ({"phase": "Failed"}, terminated(3), "exit 3", False),
        ({"phase": "Succeeded"}, terminated(0, "Completed"), "exit 0", False),
        ({"phase": "Failed"}, terminated(137), "killed by signal 9", False),
        ({"phase": "Failed"}, terminated(137, "OOMKilled"), "out of memory", False),
        ({"phase": "Running"}, terminated(1), "exit 1", False),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "exceeds ephemeral local storage limit"},
            None,
            "out of disk: more than 1024 MiB",
            False,
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            terminated(137),
            "evicted: The node was low on resource: memory.",
            True,
        ),
        ({"phase": "Failed", "reason": "NodeShutdown", "message": "in progress"}, None, "in progress", True),
        ({"phase": "Failed"}, None, "its Pod failed", True),
    ],
)
def test_end(status: dict[str, object], state: object, end: str, *, is_disruption: bool) -> None:
    found = read_pod(pod(status, state=state))
    assert (found.end, found.was_disrupted) == (end, is_disruption)
