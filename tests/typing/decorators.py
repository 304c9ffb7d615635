"""A decorated handler keeps its own type: checked by mypy, never run."""

# ruff: noqa: ARG001, INP001 - signatures are the subject, and no package is

from typing import assert_type

from fnkit import Context, Event, Response, cron, function, trigger


@function
def bare(event: Event, context: Context) -> str:
    return event["path"] + context["functionName"]


@function(memory=256, privacy="private", timeout="30s", secrets=["KEY"], env={"LEVEL": "info"})
def called(event: Event, context: Context) -> Response:
    return {"statusCode": 200, "headers": {"Set-Cookie": ["a", "b"]}, "body": {"ok": True}}


@cron("*/5 * * * *", args={"full": False})
@trigger(nats="orders.created")
@trigger(sqs="jobs")
@function
def stacked(event: dict[str, object], context: object, extra: int = 0) -> None: ...


context: Context = {"memoryLimitInMb": 128, "functionName": "bare", "functionVersion": ""}


def check(event: Event) -> None:
    """Each call is one that the undecorated function would take, and gives what it would give."""
    assert_type(bare(event, context), str)
    assert_type(bare(event=event, context=context), str)
    assert_type(called(event, context), Response)
    assert_type(stacked({}, None, extra=1), None)
    assert_type(function(called)(event, context), Response)
