"""``fnkit platform manifests``, applied to a real cluster: the platform serves from inside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fnkit.platform.supervisor.manifests import RULES
from tests.cluster.cluster import running_cluster
from tests.cluster.installation import NAMESPACE, REGISTRY_NAMESPACE, InstalledPlatform, installed_platform
from tests.cluster.programs import build_programs, missing_programs
from tests.support.command import Command
from tests.support.control_process import zip_archive
from tests.support.image_registry import DOCKER_REGISTRY
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

NODES = 2
SOURCE = "import os\ndef handle(event, context):\n    return os.uname().nodename\n"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledPlatform]:
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root")
    if missing := [*missing_programs(), *([] if DOCKER_REGISTRY else ["docker-registry"])]:
        pytest.skip(f"not installed: {' '.join(missing)}")
    folder = tmp_path_factory.mktemp("installation")
    with (
        running_cluster(build_programs(), NODES) as cluster,
        installed_platform(cluster, folder, Command()) as platform,
    ):
        yield platform


def deploy(platform: InstalledPlatform, folder: Path, name: str) -> str:
    """Deploy a function and return its host name."""
    client = platform.client(folder)
    function = client.create_function(client.create_namespace(name)["id"], name, handler="handler.handle")
    deployed = client.deploy(function["id"], zip_archive({"handler.py": SOURCE}))
    assert deployed["status"] == "ready", deployed
    return str(deployed["domain_name"])


def test_function_answers_from_a_pod_whose_image_was_pulled_through_localhost(
    platform: InstalledPlatform, tmp_path: Path
) -> None:
    domain = deploy(platform, tmp_path, "hello")
    assert domain.endswith(".fn.test")
    assert wait_until(partial(platform.call, domain)) == b"hello"
    (pod,) = platform.instances().values()
    assert pod["spec"]["containers"][0]["image"].startswith("localhost:5000/")
    assert pod["status"]["phase"] == "Running"


def test_platform_that_is_replaced_adopts_the_instances(platform: InstalledPlatform, tmp_path: Path) -> None:
    domain = deploy(platform, tmp_path, "adopted")
    assert wait_until(partial(platform.call, domain)) == b"adopted"
    before = platform.instances()
    (old,) = platform.pods("app.kubernetes.io/name=fnkit-platform")
    platform.kubectl("delete", "pod", old, "--grace-period=0", "--force")
    wait_until(lambda: old not in platform.pods("app.kubernetes.io/name=fnkit-platform"))
    platform.wait_until_ready()
    assert wait_until(partial(platform.call, domain)) == b"adopted"
    assert platform.instances().keys() == before.keys()


def test_stopped_platform_leaves_no_objects_and_has_used_exactly_its_rights(platform: InstalledPlatform) -> None:
    platform.kubectl("scale", "deployment/fnkit-platform", "--replicas=0")
    wait_until(lambda: not platform.pods("app.kubernetes.io/name=fnkit-platform"))
    selector = "--selector=app.kubernetes.io/managed-by=fnkit"
    kinds = "pods,secrets,networkpolicies,leases"
    assert platform.kubectl("get", kinds, selector, "--output=name") == ""
    requests = platform.cluster.audited_requests(NAMESPACE, "fnkit-platform")
    refused = [request for request in requests if request["responseStatus"]["code"] == 403]
    assert refused == []
    used = {
        (
            one.get("apiGroup", ""),
            "/".join(filter(None, (one["resource"], one.get("subresource")))),
            request["verb"],
        )
        for request in requests
        if (one := request.get("objectRef")) is not None
    }
    assert used == {(group, resource, verb) for group, resource, verbs in RULES for verb in verbs}


def test_deleted_installation_leaves_nothing(platform: InstalledPlatform) -> None:
    platform.cluster.kubectl("delete", "-f", "-", "--wait=true", document=platform.manifests)
    left = platform.cluster.kubectl("get", "namespaces", "--output=name").split()
    assert {f"namespace/{NAMESPACE}", f"namespace/{REGISTRY_NAMESPACE}"}.isdisjoint(left)
    assert (platform.home / "platform" / "platform.json").is_file()  # the volume itself is the user's
