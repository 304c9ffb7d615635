"""Declarations behave as frozen dataclasses of keywords do, though their methods are written by hand."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration


def test_what_is_not_given_is_none() -> None:
    given = FunctionDeclaration(memory=256, tags=("a",))

    assert (given.memory, given.tags, given.name, given.preload) == (256, ("a",), None, None)


def test_equal_values_are_equal_and_have_one_hash() -> None:
    one, same = CronDeclaration(schedule="* * * * *", name="n"), CronDeclaration(schedule="* * * * *", name="n")

    assert one == same
    assert hash(one) == hash(same)
    assert one != replace(same, name=None)
    assert FunctionDeclaration(name="n") != TriggerDeclaration(name="n")


def test_nothing_can_be_changed() -> None:
    one = TriggerDeclaration(nats="orders")

    with pytest.raises(FrozenInstanceError):
        one.nats = "others"  # type: ignore[misc]  # what is tested
    with pytest.raises(FrozenInstanceError):
        del one.nats
    assert one == TriggerDeclaration(nats="orders")


def test_a_field_without_a_default_must_be_given_and_no_other_can_be() -> None:
    with pytest.raises(TypeError, match="schedule"):
        CronDeclaration()  # type: ignore[call-arg]  # what is tested
    with pytest.raises(TypeError, match="memroy"):
        FunctionDeclaration(memroy=1)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(TypeError):
        FunctionDeclaration("name")  # type: ignore[call-arg]  # what is tested


def test_a_repr_says_every_field() -> None:
    assert repr(CronDeclaration(schedule="@daily")) == "CronDeclaration(schedule='@daily', args=None, name=None)"


def test_copies_are_equal() -> None:
    one = FunctionDeclaration(memory=128, env={"A": "b"})

    assert copy.deepcopy(one) == one
    assert [field.name for field in fields(one)][:3] == ["name", "runtime", "memory"]
