"""Plans of functions whose variables hold URLs of functions: known ones, changed ones, and ones that wait."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from fnkit.errors import UsageError
from fnkit.plan import Action, DesiredState, FunctionChange, ObservedState, Plan, make_plan
from fnkit.plan.model import NamespaceConfig, decode_plan, encode_plan
from fnkit.plan.ownership import owner_tags
from fnkit.plan.state import DesiredFunction, DesiredNamespace, SecretMatches
from tests.support.api_model import ModelApi
from tests.support.desired_functions import desired_function


def function(name: str, runtime: str = "python313", **function_urls: str) -> DesiredFunction:
    return desired_function(name, tags=owner_tags("shop", ""), runtime=runtime, function_urls=function_urls)


def state(*functions: DesiredFunction, is_partial: bool = False) -> DesiredState:
    namespace = DesiredNamespace(
        name="shop",
        shared=False,
        settings=NamespaceConfig(description="", environment={}, tags=owner_tags("shop", "")),
        secrets=(),
    )
    return DesiredState(project="shop", stage="", namespace=namespace, functions=functions, is_partial=is_partial)


def plan(desired: DesiredState, observed: ObservedState) -> Plan:
    return make_plan(desired, observed, SecretMatches(), api_url="", region="fr-par", project_id="p")


def change_of(made: Plan, name: str) -> FunctionChange:
    return next(one for one in made.changes if isinstance(one, FunctionChange) and one.name == name)


def deployed(*functions: DesiredFunction) -> ModelApi:
    api = ModelApi()
    api.apply(plan(state(*functions), api.observe()), {})
    return api


ORDERS = function("orders", HEALTH_URL="health")
HEALTH = function("health")


def test_url_of_a_new_function_is_known_after_its_creation() -> None:
    made = plan(state(HEALTH, ORDERS), ObservedState())
    change = change_of(made, "orders")
    assert change.action is Action.CREATE
    assert change.reasons == ("new", "variable HEALTH_URL: the URL of health, known after it is created")
    assert change.function_urls == {"HEALTH_URL": "health"}
    assert change.settings is not None
    assert change.settings.environment == {"LEVEL": "info"}
    assert made.referenced_functions == {"health"}
    assert decode_plan(encode_plan(made)) == made


def test_url_of_a_live_function_is_an_ordinary_variable() -> None:
    api = deployed(HEALTH)
    made = plan(state(HEALTH, ORDERS), api.observe())
    change = change_of(made, "orders")
    assert change.settings is not None
    assert change.settings.environment == {"LEVEL": "info", "HEALTH_URL": api.urls()["health"]}
    assert (change.function_urls, change.reasons) == ({}, ("new",))
    assert change_of(made, "health").action is Action.KEEP


def test_another_url_of_a_live_function_is_an_update_of_the_variable() -> None:
    api = deployed(HEALTH, ORDERS)
    moved = replace(api.observe(), function_urls={"health": ("http://127.0.0.1:9999/",)})
    change = change_of(plan(state(HEALTH, ORDERS), moved), "orders")
    assert (change.action, change.reasons) == (Action.UPDATE, ("variable HEALTH_URL changed",))
    assert change.settings is not None
    assert change.settings.environment["HEALTH_URL"] == "http://127.0.0.1:9999/"


def test_a_variable_that_holds_another_url_of_the_function_is_kept() -> None:
    api = deployed(HEALTH, ORDERS)
    both = replace(
        api.observe(), function_urls={"health": ("http://127.0.0.1:1/shop/health/", api.urls()["health"])}
    )
    assert plan(state(HEALTH, ORDERS), both).is_empty


def test_a_replaced_function_gets_another_url() -> None:
    api = deployed(HEALTH, ORDERS)
    desired = state(function("health", "node22"), ORDERS)
    made = plan(desired, api.observe())
    assert change_of(made, "health").action is Action.REPLACE
    change = change_of(made, "orders")
    assert change.action is Action.UPDATE
    assert change.reasons == ("variable HEALTH_URL: the URL of health, known after it is created",)
    before = api.urls()["health"]
    api.apply(made, {})
    assert api.functions["orders"].environment_variables["HEALTH_URL"] == api.urls()["health"] != before
    assert plan(desired, api.observe()).is_empty


def test_a_url_that_becomes_a_constant_is_a_change_of_the_variable() -> None:
    api = deployed(HEALTH, ORDERS)
    constant = msgspec.structs.replace(ORDERS.settings, environment={"LEVEL": "info", "HEALTH_URL": "x"})
    change = change_of(
        plan(state(HEALTH, replace(ORDERS, settings=constant, function_urls={})), api.observe()), "orders"
    )
    assert change.reasons == ("variable HEALTH_URL changed",)
    change = change_of(plan(state(HEALTH, replace(ORDERS, function_urls={})), api.observe()), "orders")
    assert change.reasons == ("variable HEALTH_URL removed",)


def test_functions_that_refer_to_themselves_and_to_each_other_converge() -> None:
    desired = state(function("a", SELF="a", OTHER="b"), function("b", OTHER="a"))
    api = ModelApi()
    api.apply(plan(desired, api.observe()), {})
    urls = api.urls()
    assert api.functions["a"].environment_variables == {"LEVEL": "info", "SELF": urls["a"], "OTHER": urls["b"]}
    assert plan(desired, api.observe()).is_empty


def test_partial_deploy_uses_the_url_of_a_deployed_function() -> None:
    api = deployed(HEALTH)
    change = change_of(plan(state(ORDERS, is_partial=True), api.observe()), "orders")
    assert change.settings is not None
    assert change.settings.environment["HEALTH_URL"] == api.urls()["health"]


@pytest.mark.parametrize("owner", [None, "theirs"])
def test_partial_deploy_without_the_other_function_is_an_error(owner: str | None) -> None:
    api = deployed()
    if owner is not None:  # a function of that name which this project does not own
        api = deployed(HEALTH)
        api.functions["health"] = msgspec.structs.replace(api.functions["health"], tags=list(owner_tags(owner, "")))
    with pytest.raises(UsageError) as caught:
        plan(state(ORDERS, is_partial=True), api.observe())
    assert caught.value.code == "url-of-not-deployed"
    assert caught.value.message == "orders needs the URL of health (HEALTH_URL), which is not deployed."
    assert caught.value.hint == "Deploy them together: `fnkit deploy orders health`."
    assert caught.value.exit_code == 2
