"""A decorated handler keeps its own type: checked by mypy, never run."""

# ruff: noqa: ARG001, ARG002, FBT001, INP001 - signatures are the subject, and no package is

from collections.abc import Iterable
from typing import Annotated, Final, assert_type

from fnkit import Context, Event, Header, HttpError, Path, Query, Response, cron, function, trigger, url_of


@function
def bare(event: Event, context: Context) -> str:
    return event["path"] + context["functionName"]


@function(
    memory=256,
    privacy="private",
    timeout="30s",
    secrets=["KEY"],
    groups=("aws",),
    env={"LEVEL": "info", "BARE_URL": url_of("bare")},
)
def called(event: Event, context: Context) -> Response:
    return {"statusCode": 200, "headers": {"Set-Cookie": ["a", "b"]}, "body": {"ok": True}}


@cron("*/5 * * * *", args={"full": False})
@trigger(nats="orders.created")
@trigger(sqs="jobs")
@function
def stacked(event: dict[str, object], context: object, extra: int = 0) -> None: ...


MEMORY: Final = 512


@function(memory=MEMORY, runtime="python399")
def typed(
    name: str, number: Annotated[int, Path("/{number}", ge=1)], page: Annotated[int, Query()] = 1
) -> list[str]:
    raise HttpError(404, "no such book")


@cron("* * * * *")
@function
async def asynchronous(full: bool, *, x_token: Annotated[str, Header(alias="X-Token")] = "") -> Response:
    return {"statusCode": 204}


class Application:
    def __call__(self, environ: dict[str, object], start_response: object) -> Iterable[bytes]:
        return [b""]


api = function(Application(), name="api", memory=1024, privacy="private")
function(api)

context: Context = {"memoryLimitInMb": 128, "functionName": "bare", "functionVersion": ""}


def check(event: Event) -> None:
    """Each call is one that the undecorated function would take, and gives what it would give."""
    assert_type(bare(event, context), str)
    assert_type(bare(event=event, context=context), str)
    assert_type(called(event, context), Response)
    assert_type(stacked({}, None, extra=1), None)
    assert_type(function(called)(event, context), Response)
    assert_type(typed("a", 1), list[str])
    assert_type(api, Application)


async def check_asynchronous() -> None:
    assert_type(await asynchronous(full=True), Response)
