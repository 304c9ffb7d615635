"""What a decorator leaves on a handler, and that it leaves everything else alone."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from fnkit import cron, function, trigger
from fnkit.authoring.declarations import (
    DECLARATIONS_ATTRIBUTE,
    CronDeclaration,
    Declaration,
    FunctionDeclaration,
    TriggerDeclaration,
)


def declared(handler: object) -> tuple[Declaration, ...]:
    declarations: tuple[Declaration, ...] = getattr(handler, DECLARATIONS_ATTRIBUTE)
    return declarations


def plain(event: object, context: object) -> str:
    return f"{event}{context}"


def untyped(decorator: Callable[..., object]) -> Callable[..., object]:
    """The decorator as somebody without a type checker meets it."""
    return decorator


def fresh() -> Callable[[object, object], str]:
    def handler(event: object, context: object) -> str:
        return plain(event, context)

    return handler


def test_a_bare_decorator_returns_the_same_function() -> None:
    handler = fresh()
    assert function(handler) is handler
    assert declared(handler) == (FunctionDeclaration(),)
    assert handler("a", "b") == "ab"


def test_a_called_decorator_returns_the_same_function() -> None:
    handler = fresh()
    assert function(memory=512, secrets=["KEY"])(handler) is handler
    assert declared(handler) == (FunctionDeclaration(memory=512, secrets=("KEY",)),)


def test_decorators_stack_in_any_order_and_are_kept_in_the_order_of_writing() -> None:
    @cron("0 * * * *", args={"full": True})
    @trigger(sqs="jobs")
    @function(memory=128)
    @cron("5 * * * *")
    def handler(event: object, context: object) -> None: ...

    assert declared(handler) == (
        CronDeclaration(schedule="0 * * * *", args={"full": True}),
        TriggerDeclaration(sqs="jobs"),
        FunctionDeclaration(memory=128),
        CronDeclaration(schedule="5 * * * *"),
    )


def test_what_was_passed_in_is_not_kept_by_reference() -> None:
    env, args = {"A": "1"}, {"n": 1}
    handler = cron("* * * * *", args=args)(function(env=env)(fresh()))
    env["A"] = args["n"] = "changed"  # type: ignore[assignment]  # the point of the test
    first, second = declared(handler)
    assert isinstance(first, CronDeclaration)
    assert isinstance(second, FunctionDeclaration)
    assert first.args == {"n": 1}
    assert second.env == {"A": "1"}
    with pytest.raises(TypeError):
        second.env["B"] = "2"  # type: ignore[index]  # read-only on purpose


def test_a_wrapper_that_copies_attributes_does_not_share_later_declarations() -> None:
    inner = function(fresh())

    @functools.wraps(inner)
    def outer(event: object, context: object) -> object:
        return inner(event, context)

    cron("* * * * *")(outer)
    assert len(declared(inner)) == 1
    assert len(declared(outer)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: untyped(cron)(plain),
        lambda: untyped(function)("orders"),
        lambda: untyped(function)(secrets="KEY"),
        lambda: untyped(function(memory=1))("text"),
    ],
    ids=["cron without a schedule", "a name by position", "one string for a list", "no handler"],
)
def test_a_misuse_that_would_lose_information_is_a_type_error(wrong: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"schedule|by name|list of strings"):
        wrong()
