"""Messages of an SQS queue through a handler that does nothing, against requests to it, and against boto3 alone.

In one run, in turns: ten keep-alive connections that ask through the gateway as fast as they are answered; an SQS
trigger working through a backlog, ten messages in flight; boto3 alone, which receives ten and deletes ten. The
server stands on this machine and takes its share of the processors. ``run`` has one that costs next to nothing
(``lean_sqs``), so that what is measured is the consumer; ``run_whole`` has fauxqs, a whole SQS in memory, which
costs more than a consumer does: there boto3's own figure says what was to be had. And, with nothing else to do, the
time from sending a message to its handler's first line.
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

from benchmarks.load import generate
from benchmarks.local_platform import LocalPlatform, local_platform, written_project
from benchmarks.measuring import Comparison, Figure, Skipped
from tests.support.sqs_servers import queue_client, running_sqs, sqs_server

__all__ = ["run", "run_whole"]

CONNECTIONS = 10
SECONDS = 3.0
GOAL = 0.7
_BACKLOG = 20_000
_BARE = 3000
_LONE = 100
_PACE = 0.02
_PATIENCE = 60.0
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
    with _lean_server() as endpoint, local_platform(folder / "platform") as platform:
        client = queue_client(endpoint)
        url = client.get_queue_url(QueueName="nothing")["QueueUrl"]
        return _compared(rounds, _deployed(folder, platform), platform, _Server(client, url, endpoint, _lay))


def run_whole(rounds: int, folder: Path) -> Sequence[Comparison | Figure]:
    """The same with fauxqs, and how long a lone message takes."""
    try:
        sqs_server("fauxqs").kill()
    except pytest.skip.Exception as reason:
        raise Skipped(str(reason)) from None
    with running_sqs("fauxqs") as fauxqs, local_platform(folder / "platform") as platform:
        client = fauxqs.client()
        urls = {name: client.create_queue(QueueName=name)["QueueUrl"] for name in ("nothing", "delay")}
        server = _Server(client, urls["nothing"], fauxqs.endpoint, _send)
        found = _compared(rounds, _deployed(folder, platform), platform, server)
        _listen(Path(platform.facts["data_dir"]) / "brokers.toml", server)
        time.sleep(_LOOKS_SECONDS)
        delays = _delays(client, urls["delay"], platform)
    return [
        *found,
        Figure("send to handler, median", statistics.median(delays) * 1000, "ms"),
        Figure("send to handler, 99th percentile", sorted(delays)[int(len(delays) * 0.99)] * 1000, "ms"),
    ]


@dataclass(frozen=True, slots=True)
class _Server:
    """client: boto3's. url: of the queue. lay: has so many messages lie there."""

    client: Any
    url: str
    endpoint: str
    lay: Callable[[Any, str, int], None]


@contextmanager
def _lean_server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.lean_sqs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _deployed(folder: Path, platform: LocalPlatform) -> str:
    project = written_project(folder / "project", HANDLER)
    return next(one for one in platform.deployed(project) if "nothing" in one)


def _compared(rounds: int, domain: str, platform: LocalPlatform, server: _Server) -> Sequence[Comparison | Figure]:
    brokers = Path(platform.facts["data_dir"]) / "brokers.toml"
    messages, requests, bare = [], [], []
    for _ in range(rounds):
        requests.append(_closed_loop(platform, domain))
        messages.append(_backlog(server, brokers))
        bare.append(_alone(server, brokers))
    ours = "a message of an SQS queue, 10 in flight"
    # Where boto3 alone is slower than the gateway, it is what there was to be had.
    least = 1 / GOAL if statistics.median(bare) <= statistics.median(requests) else None
    alone = "boto3 alone, receiving and deleting 10 at a time"
    return [
        Comparison(ours, "a request, 10 connections", tuple(messages), tuple(requests), least),
        Comparison(ours, alone, tuple(messages), tuple(bare), 1 / GOAL),
        Figure("messages a second through a handler", 1 / statistics.median(messages), "a second"),
        Figure("requests a second to that handler", 1 / statistics.median(requests), "a second"),
        Figure("messages a second by boto3 alone", 1 / statistics.median(bare), "a second"),
    ]


def _closed_loop(platform: LocalPlatform, domain: str) -> float:
    request = f"POST / HTTP/1.1\r\nHost: {domain}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    return generate(platform.gateway, request.encode(), connections=CONNECTIONS, seconds=SECONDS).seconds_each


def _send(client: Any, url: str, number: int) -> None:
    for _ in range(number // 10):
        entries = [{"Id": str(one), "MessageBody": "hello"} for one in range(10)]
        client.send_message_batch(QueueUrl=url, Entries=entries)


def _lay(client: Any, url: str, number: int) -> None:
    client.send_message_batch(QueueUrl=url, Entries=[{"Id": "0", "MessageBody": str(number)}])


def _left(server: _Server) -> int:
    found = server.client.get_queue_attributes(QueueUrl=server.url, AttributeNames=_COUNTS)["Attributes"]
    return sum(int(found[name]) for name in _COUNTS)


def _backlog(server: _Server, brokers: Path) -> float:
    """Seconds a message, while messages lie there: from nine tenths of them to one tenth. Nobody listens before."""
    _stop_listening(brokers)
    server.lay(server.client, server.url, _BACKLOG)
    _listen(brokers, server)
    moments = [_when_left(server, int(_BACKLOG * share)) for share in (0.9, 0.1)]
    _when_left(server, 0)
    return (moments[1][0] - moments[0][0]) / (moments[0][1] - moments[1][1])


def _when_left(server: _Server, number: int) -> tuple[float, int]:
    """Wait until no more than so many are left; when that was seen, and how many there were."""
    deadline = time.monotonic() + _PATIENCE
    while (left := _left(server)) > number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} messages are still left after {_PATIENCE:g} s")
        time.sleep(_PACE)
    return time.perf_counter(), left


def _listen(brokers: Path, server: _Server) -> None:
    _say(brokers, f'[[sqs]]\nendpoint = "{server.endpoint}"\naccess_key = "bench"\nsecret_key = "bench"\n')


def _stop_listening(brokers: Path) -> None:
    _say(brokers, "")
    time.sleep(_LOOKS_SECONDS)


def _say(brokers: Path, entry: str) -> None:
    brokers.touch(0o600)
    brokers.write_text(entry, encoding="utf-8")


def _alone(server: _Server, brokers: Path) -> float:
    _stop_listening(brokers)
    server.lay(server.client, server.url, _BARE)
    began, left = time.perf_counter(), _BARE
    while left:
        if time.perf_counter() > began + _PATIENCE:
            raise RuntimeError(f"boto3 has {left} messages left after {_PATIENCE:g} s")
        asked = {"QueueUrl": server.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        found = server.client.receive_message(**asked)["Messages"]
        entries = [{"Id": one["MessageId"], "ReceiptHandle": one["ReceiptHandle"]} for one in found]
        server.client.delete_message_batch(QueueUrl=server.url, Entries=entries)
        left -= len(found)
    return (time.perf_counter() - began) / _BARE


def _delays(client: Any, url: str, platform: LocalPlatform) -> list[float]:
    for _ in range(_LONE):
        client.send_message(QueueUrl=url, MessageBody=str(time.time()))
        time.sleep(_PACE)
    logs = Path(platform.facts["data_dir"]) / "logs"
    deadline, found = time.monotonic() + _PATIENCE, list[float]()
    while time.monotonic() < deadline:
        lines = [json.loads(line) for file in logs.glob("*/0*.jsonl") for line in file.read_bytes().splitlines()]
        found = [float(line["message"]) for line in lines if line["message"].startswith("0.")]
        if len(found) >= _LONE:
            return found
        time.sleep(0.1)
    raise RuntimeError(f"{len(found)} of {_LONE} messages were handled in {_PATIENCE:g} s")
