"""Messages of an SQS queue through a handler that does nothing, against requests to it, and against boto3 alone.

In one run, in turns: ten keep-alive connections that ask through the gateway as fast as they are answered; an SQS
trigger working through a backlog, ten messages in flight; boto3 alone, which receives ten and deletes ten. The
server is fauxqs, in memory, on this machine: it takes its share of the processors, so boto3's own figure says what
there was to be had. And, with nothing else to do, the time from sending a message to its handler's first line.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import generate
from benchmarks.local_platform import LocalPlatform, local_platform, written_project
from benchmarks.measuring import Comparison, Figure, Skipped
from tests.support.sqs_servers import SqsServer, running_sqs, sqs_server

__all__ = ["run"]

CONNECTIONS = 10
SECONDS = 3.0
GOAL = 0.7
_BACKLOG = 20_000
_BARE = 3000
_LONE = 100
_PACE = 0.02
_LOOKS_SECONDS = 1.5  # the file of brokers is looked at every second
_COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

HANDLER = """import time

from fnkit import function, trigger


@trigger(sqs="nothing")
@function(memory=128, min_scale=1, max_scale=10)
def nothing(event, context):
    return "hello"


@trigger(sqs="delay")
@function(memory=128, min_scale=1, max_scale=1)
def delay(event, context):
    print(time.time() - float(event["body"]), flush=True)
    return "ok"
"""


def run(rounds: int, folder: Path) -> Sequence[Comparison | Figure]:
    """Seconds a message, seconds a request; and the figures beside them."""
    try:
        sqs_server("fauxqs").kill()
    except pytest.skip.Exception as reason:
        raise Skipped(str(reason)) from None
    project = written_project(folder / "project", HANDLER)
    with running_sqs("fauxqs") as server, local_platform(folder / "platform") as platform:
        return _measured(rounds, project, platform, server)


def _measured(
    rounds: int, project: Path, platform: LocalPlatform, server: SqsServer
) -> Sequence[Comparison | Figure]:
    client = server.client()
    urls = {name: client.create_queue(QueueName=name)["QueueUrl"] for name in ("nothing", "delay", "bare")}
    entry = f'[[sqs]]\nendpoint = "{server.endpoint}"\naccess_key = "bench"\nsecret_key = "bench"\n'
    brokers = Path(platform.facts["data_dir"]) / "brokers.toml"
    domain = next(one for one in platform.deployed(project) if "nothing" in one)
    messages, requests, bare = [], [], []
    for _ in range(rounds):
        requests.append(_closed_loop(platform, domain))
        messages.append(_backlog(client, urls["nothing"], brokers, entry))
        bare.append(_alone(client, urls["bare"]))
    delays = _delays(client, urls["delay"], platform)
    ours = "a message of an SQS queue, 10 in flight"
    # Where the server and boto3 alone are slower than the gateway, they are what bounds us.
    goal = 1 / GOAL if statistics.median(bare) <= statistics.median(requests) else None
    return [
        Comparison(ours, "a request, 10 connections", tuple(messages), tuple(requests), goal),
        Comparison(ours, "boto3 alone, receiving and deleting 10 at a time", tuple(messages), tuple(bare)),
        Figure("messages a second through a handler", 1 / statistics.median(messages), "a second"),
        Figure("requests a second to that handler", 1 / statistics.median(requests), "a second"),
        Figure("messages a second by boto3 alone", 1 / statistics.median(bare), "a second"),
        Figure("send to handler, median", statistics.median(delays) * 1000, "ms"),
        Figure("send to handler, 99th percentile", sorted(delays)[int(len(delays) * 0.99)] * 1000, "ms"),
    ]


def _closed_loop(platform: LocalPlatform, domain: str) -> float:
    request = f"POST / HTTP/1.1\r\nHost: {domain}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    return generate(platform.gateway, request.encode(), connections=CONNECTIONS, seconds=SECONDS).seconds_each


def _send(client: Any, url: str, number: int) -> None:
    for _ in range(number // 10):
        entries = [{"Id": str(one), "MessageBody": "hello"} for one in range(10)]
        client.send_message_batch(QueueUrl=url, Entries=entries)


def _left(client: Any, url: str) -> int:
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)["Attributes"]
    return sum(int(found[name]) for name in _COUNTS)


def _backlog(client: Any, url: str, brokers: Path, entry: str) -> float:
    """Seconds a message, while messages lie there: from nine tenths of them to one tenth. Nobody listens before."""
    _say(brokers, "")
    time.sleep(_LOOKS_SECONDS)
    _send(client, url, _BACKLOG)
    _say(brokers, entry)
    moments = [_when_left(client, url, int(_BACKLOG * share)) for share in (0.9, 0.1)]
    _when_left(client, url, 0)
    return (moments[1][0] - moments[0][0]) / (moments[0][1] - moments[1][1])


def _when_left(client: Any, url: str, number: int) -> tuple[float, int]:
    """Wait until no more than so many are left; when that was seen, and how many there were."""
    while (left := _left(client, url)) > number:
        time.sleep(_PACE)
    return time.perf_counter(), left


def _say(brokers: Path, entry: str) -> None:
    brokers.touch(0o600)
    brokers.write_text(entry, encoding="utf-8")


def _alone(client: Any, url: str) -> float:
    _send(client, url, _BARE)
    began, left = time.perf_counter(), _BARE
    while left:
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)["Messages"]
        entries = [{"Id": one["MessageId"], "ReceiptHandle": one["ReceiptHandle"]} for one in found]
        client.delete_message_batch(QueueUrl=url, Entries=entries)
        left -= len(found)
    return (time.perf_counter() - began) / _BARE


def _delays(client: Any, url: str, platform: LocalPlatform) -> list[float]:
    for _ in range(_LONE):
        client.send_message(QueueUrl=url, MessageBody=str(time.time()))
        time.sleep(_PACE)
    logs = Path(platform.facts["data_dir"]) / "logs"
    while True:
        lines = [json.loads(line) for file in logs.glob("*/0*.jsonl") for line in file.read_bytes().splitlines()]
        found = [float(line["message"]) for line in lines if line["message"].startswith("0.")]
        if len(found) >= _LONE:
            return found
        time.sleep(0.1)
