"""``fnkit platform manifests``, applied to a real cluster: the platform serves from inside it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fnkit.platform.supervisor.manifests import RULES
from tests.cluster.cluster import Cluster
from tests.cluster.installation import InstalledPlatform, installed_platform
from tests.support.command import Command
from tests.support.control_process import zip_archive
from tests.support.image_registry import DOCKER_REGISTRY
from tests.support.processes import descendants
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

SOURCE = "import os\ndef handle(event, context):\n    return os.uname().nodename\n"


@pytest.fixture(scope="module")
def platform(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledPlatform]:
    if DOCKER_REGISTRY is None:
        pytest.skip("not installed: docker-registry")
    with installed_platform(cluster, tmp_path_factory.mktemp("installation"), Command()) as platform:
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


def test_platform_that_is_killed_adopts_the_instances(platform: InstalledPlatform, tmp_path: Path) -> None:
    domain = deploy(platform, tmp_path, "killed")
    assert wait_until(partial(platform.call, domain)) == b"killed"
    before = platform.instances().keys()
    old = platform.supervisor()
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: platform.supervisor() not in (old, 0), what="another supervisor")
    assert wait_until(partial(platform.call, domain)) == b"killed"
    assert platform.instances().keys() == before


def test_platform_on_another_machine_adopts_the_instances(platform: InstalledPlatform, tmp_path: Path) -> None:
    domain = deploy(platform, tmp_path, "replaced")
    assert wait_until(partial(platform.call, domain)) == b"replaced"
    before = platform.instances().keys()
    (old,) = platform.pods("app.kubernetes.io/name=fnkit-platform")
    supervisor = platform.supervisor()
    for pid in (supervisor, *descendants(supervisor)):  # as with a machine that hangs: the Pod learns of nothing
        os.kill(pid, signal.SIGSTOP)
    platform.kubectl("delete", "pod", old, "--grace-period=0", "--force")
    wait_until(lambda: platform.supervisor() not in (supervisor, 0), what="another supervisor")
    platform.wait_until_ready()
    assert wait_until(partial(platform.call, domain)) == b"replaced"
    assert platform.instances().keys() == before


def test_platform_that_is_stopped_leaves_no_objects(platform: InstalledPlatform) -> None:
    platform.kubectl("scale", "deployment/fnkit-platform", "--replicas=0")
    wait_until(lambda: not platform.pods("app.kubernetes.io/name=fnkit-platform"))
    selector = "--selector=app.kubernetes.io/managed-by=fnkit"
    kinds = "pods,secrets,networkpolicies,leases"
    assert platform.kubectl("get", kinds, selector, "--output=name") == ""


def test_platform_has_used_exactly_its_rights(platform: InstalledPlatform) -> None:
    """Run after the tests above: it reads what they have caused."""
    if not platform.cluster.has_audit_log:
        pytest.skip("this cluster records no requests")
    requests = platform.cluster.audited_requests(platform.namespace, "fnkit-platform")
    assert [request for request in requests if request["responseStatus"]["code"] == 403] == []
    used = {(*resource_of(request["objectRef"]), request["verb"]) for request in requests}
    assert used == {(group, resource, verb) for group, resource, verbs in RULES for verb in verbs}


def resource_of(reference: dict[str, str]) -> tuple[str, str]:
    """Return group and resource as a Role names them."""
    parts = (reference["resource"], reference.get("subresource", ""))
    return reference.get("apiGroup", ""), "/".join(filter(None, parts))


def test_deleted_installation_leaves_nothing_but_the_volume(platform: InstalledPlatform) -> None:
    platform.cluster.kubectl("delete", "-f", "-", "--wait=true", document=platform.manifests)
    left = platform.cluster.kubectl("get", "namespaces", "--output=name").split()
    assert {f"namespace/{platform.namespace}", f"namespace/{platform.registry_namespace}"}.isdisjoint(left)
    assert (platform.home / "platform" / "platform.json").is_file()
