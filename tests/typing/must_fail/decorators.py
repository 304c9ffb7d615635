"""Each marked line is one that mypy refuses, with the code behind the mark; checked by a test."""

# ruff: noqa: ARG001, INP001 - signatures are the subject, and no package is

from fnkit import Context, Event, Query, cron, function, trigger, url_of


@function(memory="256")  # refused: call-overload
def wrong_type(event: Event, context: Context) -> str:
    return event["method"]  # refused: typeddict-item


@function(privacy="secret")  # refused: call-overload
def wrong_word(event: Event, context: Context) -> str:
    return ""


@function(memory=300)  # refused: call-overload
def no_tier(event: Event, context: Context) -> str:
    return ""


@function(groups=1)  # refused: call-overload
def no_names(event: Event, context: Context) -> str:
    return ""


@function(region="fr-par")  # refused: call-overload
def no_such_setting(event: Event, context: Context) -> str:
    return ""


@function(env={"RETRIES": 3})  # refused: dict-item
@function(env={"URL": url_of(7)})  # refused: arg-type
def wrong_variable(event: Event, context: Context) -> str:
    return ""


@trigger(sqs="a", region="fr-pra")  # refused: call-overload
def wrong_region(event: Event, context: Context) -> str:
    return ""


@cron()  # refused: call-arg
@trigger()  # refused: call-overload
def nothing_given(event: Event, context: Context) -> str:
    return ""


@trigger(nats="a", sqs="b")  # refused: call-overload
def both(event: Event, context: Context) -> str:
    return ""


@cron("* * * * *")
@function(memory=256)
def fine(event: Event, context: Context) -> str:
    return ""


fine({"path": 1})  # refused: call-arg
fine(1, 2)  # refused: arg-type
function("text")  # refused: call-overload
Query(minimum=1)  # refused: call-arg
