"""The platform's own SQS endpoint: what a project with an SQS trigger gets without any configuration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.dev_session import dev_session
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.processes import is_alive
from tests.support.project_tree import write_files
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

SETTINGS = 'name = "shop"\n[defaults]\nruntime = "python311"\n'
HANDLERS = """
import json
import os
import urllib.request

from fnkit import function, trigger


@trigger(sqs="orders")
@function(memory=128)
def on_order(event, context):
    return {"statusCode": 500 if event["body"] == "poison" else 200}


@function(memory=128, secrets=["SQS_ENDPOINT", "SQS_ACCESS_KEY", "SQS_SECRET_KEY"])
def order(event, context):
    scope = f"{os.environ['SQS_ACCESS_KEY']}/20261130/fr-par/sqs/aws4_request"
    url = f"{os.environ['SQS_ENDPOINT']}/123456789012/orders"
    request = urllib.request.Request(
        os.environ["SQS_ENDPOINT"],
        data=json.dumps({"QueueUrl": url, "MessageBody": "from a function"}).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "AmazonSQS.SendMessage",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        },
    )
    with urllib.request.urlopen(request) as response:
        return response.read().decode()
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("own-sqs"), "--manual-clock") as running:
        yield running


@pytest.fixture(scope="module")
def project(platform: PlatformUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = write_files(tmp_path_factory.mktemp("shop"), {"fnkit.toml": SETTINGS, "main.py": HANDLERS})
    deployed = platform.command("deploy", "--local", "--json", cwd=project).ok().json()
    assert [note for note in deployed["notes"] if "idle" in note] == []
    return project


def sqs_pid(platform: PlatformUnderTest) -> int:
    return int(json.loads((platform.home / "run.json").read_bytes())["sqs"])


def variables(platform: PlatformUnderTest) -> dict[str, str]:
    lines = platform.command("platform", "env", "--format", "github").ok().stdout.splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines) if name.startswith("SQS_")}


def client(platform: PlatformUnderTest, region: str = "fr-par", **changed: str) -> Any:
    import boto3

    found = variables(platform) | changed
    return boto3.session.Session().client(
        "sqs",
        endpoint_url=found["SQS_ENDPOINT"],
        region_name=region,
        aws_access_key_id=found["SQS_ACCESS_KEY"],
        aws_secret_access_key=found["SQS_SECRET_KEY"],
    )


def deliveries(platform: PlatformUnderTest, project: Path, name: str, body: str) -> list[dict[str, Any]]:
    found = platform.command("trigger", "deliveries", name, "--local", "--json", cwd=project).ok().json()
    return [one for one in found["deliveries"] if one["body"] == body]


def wait_for(platform: PlatformUnderTest, project: Path, body: str, status: str, name: str = "on-order") -> None:
    wait_until(
        lambda: [one["status"] for one in deliveries(platform, project, name, body)] == [status],
        what=f"{body} is {status}",
    )


def has_attempts(platform: PlatformUnderTest, project: Path, body: str, number: int) -> bool:
    return [one["attempts"] for one in deliveries(platform, project, "on-order", body)] == [number]


def send(platform: PlatformUnderTest, project: Path, body: str) -> None:
    platform.command("trigger", "send", "on-order", body, "--local", cwd=project).ok()


def test_template_works_at_once(platform: PlatformUnderTest, tmp_path: Path) -> None:
    platform.command("new", "welcome", "--template", "sqs", cwd=tmp_path).ok()
    project = tmp_path / "welcome"
    platform.command("deploy", "--local", cwd=project).ok()
    command = [sys.executable, "send.py", '{"name": "Ada"}']
    subprocess.run(command, cwd=project, env={**os.environ, **variables(platform)}, check=True)
    wait_for(platform, project, '{"name": "Ada"}', "succeeded", "on-signup")


@pytest.mark.usefixtures("project")
def test_queue_has_the_attributes_of_a_new_one_at_scaleway(platform: PlatformUnderTest) -> None:
    queues = client(platform)
    url = queues.get_queue_url(QueueName="orders")["QueueUrl"]
    names = ["VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize"]
    assert queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] == {
        "VisibilityTimeout": "30",
        "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "262144",
    }
    assert client(platform, "nl-ams").list_queues().get("QueueUrls", []) == [], "queues belong to a region"


def test_message_that_always_fails_is_dead_after_four_attempts(platform: PlatformUnderTest, project: Path) -> None:
    send(platform, project, "poison")
    for attempt in (1, 2, 3):
        wait_until(partial(has_attempts, platform, project, "poison", attempt), what=f"attempt {attempt}")
        platform.advance(30)
    wait_for(platform, project, "poison", "dead")
    assert has_attempts(platform, project, "poison", 4)


def test_killed_endpoint_is_restarted_with_its_queues(platform: PlatformUnderTest, project: Path) -> None:
    send(platform, project, "before")
    wait_for(platform, project, "before", "succeeded")
    former = sqs_pid(platform)
    os.kill(former, signal.SIGKILL)
    wait_until(lambda: sqs_pid(platform) not in (0, former), what="another process serves the endpoint")
    send(platform, project, "after")
    wait_for(platform, project, "after", "succeeded")


def test_function_sends_with_the_secrets_that_it_declares(platform: PlatformUnderTest, project: Path) -> None:
    answer = platform.command("invoke", "order", "--remote", "--local", "--json", cwd=project).ok().json()
    assert answer["status"] == 200, answer
    wait_for(platform, project, "from a function", "succeeded")


def test_other_access_key_is_rejected(platform: PlatformUnderTest) -> None:
    with pytest.raises(ClientError) as raised:
        client(platform, SQS_ACCESS_KEY="other").list_queues()
    assert raised.value.response["Error"]["Code"] == "InvalidClientTokenId"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(variables(platform)["SQS_ENDPOINT"])


def test_endpoint_that_is_off_leaves_triggers_idle(tmp_path: Path) -> None:
    project = write_files(tmp_path / "shop", {"fnkit.toml": SETTINGS, "main.py": HANDLERS})
    with running_platform(tmp_path / "home", "--sqs-port", "none") as platform:
        assert variables(platform) == {}
        refused = platform.command("deploy", "--local", cwd=project)
        assert "The secret SQS_ENDPOINT has no value" in refused.stderr
        (project / ".env").write_text("SQS_ENDPOINT=http://127.0.0.1:1\nSQS_ACCESS_KEY=a\nSQS_SECRET_KEY=b\n")
        deployed = platform.command("deploy", "--local", cwd=project).ok()
        assert "platform's own is off (--sqs-port none)" in deployed.stdout


def test_endpoint_ends_with_its_supervisor(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home") as platform:
        assert sqs_pid(platform) == 0, "it starts with the first client"
        client(platform).list_queues()
        pid = wait_until(lambda: sqs_pid(platform))
        os.kill(platform.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), what="the endpoint has ended")


def test_dev_has_an_endpoint_of_its_own(tmp_path: Path) -> None:
    project = write_files(tmp_path / "shop", {"fnkit.toml": SETTINGS, "main.py": HANDLERS})
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        assert session.get("order")[0] == 200
        served = session.wait_for("response", lambda item: item["function"] == "on-order")
        assert served["status"] == 200
