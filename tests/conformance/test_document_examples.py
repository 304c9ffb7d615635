"""The API document's own examples, run with curl against a real platform."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from fnkit.platform.control.api.openapi import curl_samples, original_document, resolve_pointer
from tests.conformance.fuzz.ground import Ground
from tests.support.command import FNKIT
from tests.support.control_process import API, api_client
from tests.support.platform import PlatformUnderTest
from tests.support.source_tree import REPOSITORY

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(
        not (shutil.which("curl") and shutil.which("jq")), reason="the document asks for curl and jq"
    ),
]

QUICKSTART = REPOSITORY / "examples" / "quickstart-curl" / "quickstart.sh"
PRINTED = re.findall(
    r"-d '(\{.*?\})'", "\n".join(map(str, resolve_pointer(original_document(), "/info/description"))), re.DOTALL
)
"""What the document prints as bodies: of a namespace, a function and a token. None of them is JSON."""


@pytest.fixture(scope="module")
def ground(platform: PlatformUnderTest) -> Iterator[Ground]:
    with Ground(platform) as there:
        yield there


def shell(platform: PlatformUnderTest, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a shell that knows where the platform is."""
    return subprocess.run(
        ["bash", "-ec", script],
        env={**os.environ, **platform.environment, "FNKIT_HOME": str(platform.home), "POLL_SECONDS": "0.1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def quickstart(platform: PlatformUnderTest, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the example as its README says."""
    settings = "".join(f"export {name}={value}\n" for name, value in variables.items())
    script = f'{settings}eval "$({FNKIT} platform env --format shell)"\n{QUICKSTART}'
    return shell(platform, script)


@pytest.mark.slow
def test_the_quickstart_runs_to_its_end(platform: PlatformUnderTest) -> None:
    done = quickstart(platform)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n200 hello, curl!\n") == 2
    assert "11. Destroy" in done.stdout
    (namespace,) = re.findall(r'== 2\..*\n\{"id":"([0-9a-f-]{36})"', done.stdout)
    api_client(platform).wait_until_deleted("namespaces", namespace)


def test_the_quickstart_leaves_nothing_when_it_fails(platform: PlatformUnderTest) -> None:
    done = quickstart(platform, RUNTIME="node16")

    assert done.returncode != 0
    assert "reached end of" in done.stderr
    (namespace,) = re.findall(r'== 2\..*\n\{"id":"([0-9a-f-]{36})"', done.stdout)
    api_client(platform).wait_until_deleted("namespaces", namespace)


@pytest.mark.parametrize(
    ("body", "operation"),
    list(zip(PRINTED, ("CreateNamespace", "CreateFunction", "CreateToken"), strict=True)),
    ids=("namespace", "function", "token"),
)
def test_what_the_document_prints_as_a_body_is_refused_with_its_position(
    platform: PlatformUnderTest, body: str, operation: str
) -> None:
    kind = operation.removeprefix("Create").lower()
    answer = api_client(platform).request("POST", f"{API}/{kind}s", body.encode())

    line = next(number for number, text in enumerate(body.split("\n"), 1) if text.strip(" {"))
    assert answer.status == 400
    assert re.match(rf"proto: syntax error \(line {line}:\d+\): ", answer.message), answer.message


@pytest.mark.parametrize("operation", sorted(curl_samples()))
def test_a_sample_of_the_document_answers_200_once_its_ids_are_filled_in(
    platform: PlatformUnderTest, ground: Ground, operation: str
) -> None:
    body = platform.home / "sample.json"
    done = shell(platform, f"{filled_in(operation, ground)} -sS -o {body} -w '%{{http_code}}'")

    assert done.stdout == "200", body.read_text() + done.stderr
    if operation == "CreateNamespace":
        ground.delete("namespace", json.loads(body.read_text())["id"])


def filled_in(operation: str, ground: Ground) -> str:
    """The sample with this platform's address, and what a reader puts in: ids, and what a ``string`` cannot be."""
    kind = operation.removeprefix("Delete").lower()
    doomed = operation.startswith("Delete") and f"{kind}_id" in ground.ids
    ids = ground.ids | {"region": "fr-par"} | ({f"{kind}_id": ground.create(kind)} if doomed else {})
    sample = curl_samples()[operation].replace("https://api.scaleway.com", "$SCW_API_URL")
    sample = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "none"), sample)
    sample = re.sub(r"(\w+_id)=string", lambda found: f"{found[1]}={ids[found[1]]}", sample)
    body = re.search(r"-d '(.*?)'", sample, re.DOTALL)
    if body is None:
        return sample
    needed = {name: value for name, value in ground.good_body(operation).items() if name != "name"}
    return sample.replace(body[1], json.dumps(json.loads(body[1]) | needed))
