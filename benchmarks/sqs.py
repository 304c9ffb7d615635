"""Compares SQS messages with HTTP requests to the same handler, which does nothing, and with boto3 alone.

Each round measures ten keep-alive connections that send requests in a closed loop, an SQS trigger that works
through a backlog with ten messages in flight, and boto3 alone, which receives and deletes ten messages at a time.
The server runs on the same machine and shares its processors. ``run`` uses a minimal server (``lean_sqs``), so that
the consumer is the bottleneck. ``run_whole`` uses fauxqs, a complete SQS in memory, which takes more CPU time than
a consumer does; the result of boto3 is then the upper bound. It also measures the time from sending a message to
the first line of its handler, without other load.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import generate_load
from benchmarks.local_platform import LocalPlatform, local_platform, write_project
from benchmarks.measurement import BenchmarkSkipped, Comparison, Figure
from tests.support.sqs_servers import queue_client, running_sqs, start_sqs_server

__all__ = ["run", "run_whole"]

CONNECTIONS = 10
SECONDS = 3.0
GOAL = 0.7
_BACKLOG = 20_000
_CLIENT_MESSAGES = 3000
_SINGLE_MESSAGES = 100
_PAUSE = 0.02
_TIMEOUT = 60.0
_BROKER_RELOAD_SECONDS = 1.5  # the platform checks brokers.toml every second
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
    """Measure seconds per message and per request, and further figures."""
    with _lean_server() as endpoint, local_platform(folder / "platform") as platform:
        client = queue_client(endpoint)
        url = client.get_queue_url(QueueName="nothing")["QueueUrl"]
        return _compare(
            rounds, _deploy(folder, platform), platform, _Server(client, url, endpoint, _fill_lean_server)
        )


def run_whole(rounds: int, folder: Path) -> Sequence[Comparison | Figure]:
    """Measure the same with fauxqs, and the delay of single messages."""
    try:
        start_sqs_server("fauxqs").kill()
    except pytest.skip.Exception as reason:
        raise BenchmarkSkipped(str(reason)) from None
    with running_sqs("fauxqs") as fauxqs, local_platform(folder / "platform") as platform:
        client = fauxqs.client()
        urls = {name: client.create_queue(QueueName=name)["QueueUrl"] for name in ("nothing", "delay")}
        server = _Server(client, urls["nothing"], fauxqs.endpoint, _send_messages)
        found = _compare(rounds, _deploy(folder, platform), platform, server)
        _configure_broker(Path(platform.status["data_dir"]) / "brokers.toml", server)
        time.sleep(_BROKER_RELOAD_SECONDS)
        delays = _measure_delays(client, urls["delay"], platform)
    return [
        *found,
        Figure("send to handler, median", statistics.median(delays) * 1000, "ms"),
        Figure("send to handler, 99th percentile", sorted(delays)[int(len(delays) * 0.99)] * 1000, "ms"),
    ]


@dataclass(frozen=True, slots=True)
class _Server:
    """An SQS server.

    Attributes:
        client: A boto3 client.
        url: The URL of the queue.
        endpoint: The URL of the server.
        fill: Adds a number of messages to the queue.
    """

    client: Any
    url: str
    endpoint: str
    fill: Callable[[Any, str, int], None]


@contextmanager
def _lean_server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.lean_sqs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _deploy(folder: Path, platform: LocalPlatform) -> str:
    project = write_project(folder / "project", HANDLER)
    return next(one for one in platform.deploy(project) if "nothing" in one)


def _compare(rounds: int, domain: str, platform: LocalPlatform, server: _Server) -> Sequence[Comparison | Figure]:
    brokers = Path(platform.status["data_dir"]) / "brokers.toml"
    messages, requests, bare = [], [], []
    for _ in range(rounds):
        requests.append(_measure_requests(platform, domain))
        messages.append(_measure_backlog(server, brokers))
        bare.append(_measure_client_alone(server, brokers))
    ours = "a message of an SQS queue, 10 in flight"
    # If boto3 alone is slower than the gateway, the server is the bottleneck and the goal does not apply.
    goal = 1 / GOAL if statistics.median(bare) <= statistics.median(requests) else None
    alone = "boto3 alone, receiving and deleting 10 at a time"
    return [
        Comparison(ours, "a request, 10 connections", tuple(messages), tuple(requests), goal),
        Comparison(ours, alone, tuple(messages), tuple(bare), 1 / GOAL),
        Figure("messages a second through a handler", 1 / statistics.median(messages), "a second"),
        Figure("requests a second to that handler", 1 / statistics.median(requests), "a second"),
        Figure("messages a second by boto3 alone", 1 / statistics.median(bare), "a second"),
    ]


def _measure_requests(platform: LocalPlatform, domain: str) -> float:
    request = f"POST / HTTP/1.1\r\nHost: {domain}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    return generate_load(
        platform.gateway, request.encode(), connections=CONNECTIONS, seconds=SECONDS
    ).seconds_per_request


def _send_messages(client: Any, url: str, number: int) -> None:
    for _ in range(number // 10):
        entries = [{"Id": str(one), "MessageBody": "hello"} for one in range(10)]
        client.send_message_batch(QueueUrl=url, Entries=entries)


def _fill_lean_server(client: Any, url: str, number: int) -> None:
    client.send_message_batch(QueueUrl=url, Entries=[{"Id": "0", "MessageBody": str(number)}])


def _remaining(server: _Server) -> int:
    found = server.client.get_queue_attributes(QueueUrl=server.url, AttributeNames=_COUNTS)["Attributes"]
    return sum(int(found[name]) for name in _COUNTS)


def _measure_backlog(server: _Server, brokers: Path) -> float:
    """Return the seconds per message while the backlog shrinks from 90 % to 10 %.

    The trigger is disabled while the queue is filled.
    """
    _remove_broker(brokers)
    server.fill(server.client, server.url, _BACKLOG)
    _configure_broker(brokers, server)
    samples = [_wait_for_remaining(server, int(_BACKLOG * share)) for share in (0.9, 0.1)]
    _wait_for_remaining(server, 0)
    return (samples[1][0] - samples[0][0]) / (samples[0][1] - samples[1][1])


def _wait_for_remaining(server: _Server, number: int) -> tuple[float, int]:
    """Wait until at most ``number`` messages remain; return the time and the number that remained then."""
    deadline = time.monotonic() + _TIMEOUT
    while (remaining := _remaining(server)) > number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{remaining} messages remain after {_TIMEOUT:g} s")
        time.sleep(_PAUSE)
    return time.perf_counter(), remaining


def _configure_broker(brokers: Path, server: _Server) -> None:
    _write_brokers(
        brokers, f'[[sqs]]\nendpoint = "{server.endpoint}"\naccess_key = "bench"\nsecret_key = "bench"\n'
    )


def _remove_broker(brokers: Path) -> None:
    _write_brokers(brokers, "")
    time.sleep(_BROKER_RELOAD_SECONDS)


def _write_brokers(brokers: Path, entry: str) -> None:
    brokers.touch(0o600)
    brokers.write_text(entry, encoding="utf-8")


def _measure_client_alone(server: _Server, brokers: Path) -> float:
    _remove_broker(brokers)
    server.fill(server.client, server.url, _CLIENT_MESSAGES)
    started, remaining = time.perf_counter(), _CLIENT_MESSAGES
    while remaining:
        if time.perf_counter() > started + _TIMEOUT:
            raise RuntimeError(f"{remaining} messages remain after {_TIMEOUT:g} s")
        request = {"QueueUrl": server.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        found = server.client.receive_message(**request)["Messages"]
        entries = [{"Id": one["MessageId"], "ReceiptHandle": one["ReceiptHandle"]} for one in found]
        server.client.delete_message_batch(QueueUrl=server.url, Entries=entries)
        remaining -= len(found)
    return (time.perf_counter() - started) / _CLIENT_MESSAGES


def _measure_delays(client: Any, url: str, platform: LocalPlatform) -> list[float]:
    for _ in range(_SINGLE_MESSAGES):
        client.send_message(QueueUrl=url, MessageBody=str(time.time()))
        time.sleep(_PAUSE)
    logs = Path(platform.status["data_dir"]) / "logs"
    deadline, found = time.monotonic() + _TIMEOUT, list[float]()
    while time.monotonic() < deadline:
        lines = [json.loads(line) for file in logs.glob("*/0*.jsonl") for line in file.read_bytes().splitlines()]
        found = [float(line["message"]) for line in lines if line["message"].startswith("0.")]
        if len(found) >= _SINGLE_MESSAGES:
            return found
        time.sleep(0.1)
    raise RuntimeError(f"{len(found)} of {_SINGLE_MESSAGES} messages were handled in {_TIMEOUT:g} s")
