"""``fnkit platform manifests``, as a user types it."""

from __future__ import annotations

import pytest
import yaml

from tests.support.command import Command

IMAGE = ("platform", "manifests", "--image", "registry.example.com/fnkit:1")


def test_yaml_and_json_are_the_same_documents(fnkit: Command) -> None:
    printed = fnkit(*IMAGE).ok()
    assert printed.stderr == ""
    assert printed.stdout.startswith("---\n")
    assert "&id" not in printed.stdout  # kubectl reads aliases, people do not
    documents = list(yaml.safe_load_all(printed.stdout))
    as_json = fnkit(*IMAGE, "--json").ok().json()
    assert as_json == {"apiVersion": "v1", "kind": "List", "items": documents}
    assert [one["kind"] for one in documents[:2]] == ["Namespace", "ServiceAccount"]


def test_options_after_the_dashes_are_those_of_the_start(fnkit: Command) -> None:
    documents = yaml.safe_load_all(fnkit(*IMAGE, "--", "--domain-suffix", "example.com", "--verify-domains").stdout)
    (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
    command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[:3] == ["fnkit", "platform", "start"]
    assert command[-3:] == ["--domain-suffix", "example.com", "--verify-domains"]


def test_image_is_required(fnkit: Command) -> None:
    refused = fnkit("platform", "manifests")
    assert refused.code == 2
    assert "--image" in refused.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--domain-sufix", "x"), "--domain-sufix"),
        (("stray",), "'stray' is not an option"),
        (("--api-port", "1"), "--api-port cannot be passed on"),
        (("--engine", "local"), "--engine cannot be passed on"),
        (("--kube-namespace=other",), "--kube-namespace cannot be passed on"),
        (("--detach",), "--detach cannot be passed on"),
    ],
)
def test_option_that_cannot_be_passed_on_is_refused(options: tuple[str, ...], words: str, fnkit: Command) -> None:
    refused = fnkit(*IMAGE, "--", *options)
    assert refused.code == 2
    assert refused.stdout == ""
    assert words in refused.stderr


def test_invalid_namespace_is_refused(fnkit: Command) -> None:
    refused = fnkit(*IMAGE, "--namespace", "My_Namespace")
    assert refused.code == 2
    assert "--namespace 'My_Namespace'" in refused.stderr
    assert "hint:" in refused.stderr
