"""The objects of a deployment in a cluster."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from lightkube.resources.core_v1 import Pod

from fnkit.platform.data_plane.kubernetes.deployment_objects import build_objects
from fnkit.platform.data_plane.kubernetes.platform_objects import (
    instance_policy,
    private_network_policy,
    registry_login,
)
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.model.derived_keys import instance_key, registry_pull_key
from fnkit.platform.model.routing import ImageProgram, Route
from tests.support.golden import Golden
from tests.support.routes import make_route

SECRET_KEY = "11111111-1111-1111-1111-111111111111"
IMAGE = f"registry.example:5000/funcscwshop/orders@sha256:{'0' * 64}"


SETTINGS = KubernetesEngineSettings(
    kubeconfig="/kubeconfig",
    registry_host="registry.example:5000",
    secret_key=SECRET_KEY,
    holder="here",
    labels={"team": "shop"},
    logs_directory=Path("logs"),
    log_positions_file=Path("positions"),
)


def route(**changes: object) -> Route:
    made = make_route(
        "orders",
        environment={"GREETING": "costs $(PRICE) or $5", "PASSWORD": "hunter2"},
        secret_names=("PASSWORD",),
    )
    return msgspec.structs.replace(made, program=ImageProgram(image=IMAGE), **changes)


def as_text(pod: Pod) -> str:
    document = pod.to_dict()
    document["metadata"]["name"] = document["metadata"]["name"][:-8] + "12345678"
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def test_pod_is_what_it_was(golden: Golden) -> None:
    golden.check("kubernetes-pod.json", as_text(build_objects(route(), SETTINGS).new_pod()))


def test_secrets_are_in_the_secret_only() -> None:
    objects = build_objects(route(), SETTINGS)
    assert "hunter2" not in as_text(objects.new_pod())
    assert "hunter2" not in repr(SETTINGS)
    data = {name: base64.b64decode(value).decode() for name, value in (objects.secret.data or {}).items()}
    assert data == {"PASSWORD": "hunter2", "instance-key": instance_key(SECRET_KEY, "orders", 1)}


@pytest.mark.parametrize("name", ["HOSTNAME", "KUBERNETES_SERVICE_HOST"])
def test_variables_of_kubernetes_are_withheld_unless_they_are_those_of_the_function(name: str) -> None:
    def withheld(environment: dict[str, str]) -> list[str]:
        spec = build_objects(route(environment=environment, secret_names=()), SETTINGS).new_pod().spec
        assert spec is not None
        [text] = [one.value for one in spec.containers[0].env or () if one.name == "FNKIT_WITHHELD_VARIABLES"]
        return str(text).split(",")

    assert name in withheld({})
    assert name not in withheld({name: "mine"})


def test_each_pod_has_a_name_of_its_own() -> None:
    objects = build_objects(route(), SETTINGS)
    names = {pod.metadata.name for pod in (objects.new_pod(), objects.new_pod()) if pod.metadata is not None}
    assert len(names) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": 2},
        {"program": ImageProgram(image=IMAGE.replace("0", "1"))},
        {"environment": {"GREETING": "hello", "PASSWORD": "hunter2"}},
        {"environment": {"GREETING": "costs $(PRICE) or $5", "PASSWORD": "hunter3"}},
        {"memory": 512},
        {"handler": "handler.other"},
    ],
    ids=["generation", "image", "variable", "secret", "memory", "handler"],
)
def test_revision_changes_with_whatever_an_instance_has(changes: dict[str, object]) -> None:
    assert (
        build_objects(msgspec.structs.replace(route(), **changes), SETTINGS).revision
        != build_objects(route(), SETTINGS).revision
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"hosts": ("other.test",)},
        {"min_scale": 1},
        {"max_scale": 9},
        {"timeout": 99.0},
        {"http_option": "redirected"},
    ],
)
def test_revision_stays_if_instances_can_stay(changes: dict[str, object]) -> None:
    assert (
        build_objects(msgspec.structs.replace(route(), **changes), SETTINGS).revision
        == build_objects(route(), SETTINGS).revision
    )


def test_revision_tells_nothing_about_secrets() -> None:
    other = dataclasses.replace(SETTINGS, secret_key="22222222-2222-2222-2222-222222222222")
    assert build_objects(route(), SETTINGS).revision != build_objects(route(), other).revision


@pytest.mark.parametrize("name", ["a", "A.b_c", "-", "x" * 80, "9lives"])
def test_any_name_of_a_function_gives_a_valid_name_of_a_pod(name: str) -> None:
    metadata = build_objects(route(name=name), SETTINGS).new_pod().metadata
    assert metadata is not None
    assert metadata.name is not None
    assert len(metadata.name) <= 63
    assert metadata.name.replace("-", "").isalnum()
    assert metadata.name == metadata.name.lower().strip("-")


def test_pod_is_kept_away_from_nodes_that_do_not_answer() -> None:
    objects = build_objects(route(), SETTINGS)
    spec = objects.new_pod(("node-1", "node-2")).to_dict()["spec"]
    [term] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [(one["operator"], one["values"]) for one in term["matchFields"]] == [
        ("NotIn", ["node-1"]),
        ("NotIn", ["node-2"]),
    ]
    assert "affinity" not in objects.new_pod().to_dict()["spec"]


def test_nodes_log_in_with_a_key_that_can_only_pull() -> None:
    document = base64.b64decode((registry_login(SETTINGS).data or {})[".dockerconfigjson"])
    auth = json.loads(document)["auths"]["registry.example:5000"]["auth"]
    assert base64.b64decode(auth).decode() == f"nologin:{registry_pull_key(SECRET_KEY)}"
    assert SECRET_KEY not in base64.b64decode(auth).decode()


def test_network_rules_are_what_they_were(golden: Golden) -> None:
    policies = [
        instance_policy(SETTINGS, ["192.0.2.1", "2001:db8::1"]),
        private_network_policy(SETTINGS, "33333333-3333-3333-3333-333333333333"),
    ]
    text = json.dumps([policy.to_dict() for policy in policies], indent=2, sort_keys=True) + "\n"
    golden.check("kubernetes-network-policies.json", text)
