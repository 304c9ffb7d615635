"""Laws of the planner, over random projects and an API that other clients also change."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fnkit.contract.platform import PRELOAD_DISABLED_TAG
from fnkit.contract.resources import Cron, Domain, Function
from fnkit.plan import (
    Action,
    CronChange,
    DesiredState,
    DomainChange,
    FunctionChange,
    Plan,
    TriggerChange,
    deletions,
    make_plan,
    plan_destroy,
)
from fnkit.plan.model import CronConfig, FunctionConfig, NamespaceConfig, TriggerConfig, decode_plan, encode_plan
from fnkit.plan.ownership import MAX_TAG_LENGTH, is_fnkit_tag, owned_hash, owned_hash_tags, owner_tags
from fnkit.plan.planner import resources_to_fetch
from fnkit.plan.state import DesiredCron, DesiredFunction, DesiredNamespace, DesiredTrigger
from tests.support.api_model import ModelApi
from tests.support.desired_functions import desired_function

NAMES = st.sampled_from(["orders", "cleanup", "hello", "report", "sync"])
SECRETS = st.sets(st.sampled_from(["DATABASE_URL", "API_KEY", "TOKEN"]))
ENVIRONMENTS = st.dictionaries(st.sampled_from(["LEVEL", "MODE", "URL"]), st.sampled_from(["a", "b"]))
TAGS = st.sets(st.sampled_from(["team=shop", "blue", "v2"]))
PRELOAD = st.sampled_from([(), (PRELOAD_DISABLED_TAG,)])
VALUES = st.fixed_dictionaries(
    {name: st.sampled_from(["one", "two"]) for name in ("DATABASE_URL", "API_KEY", "TOKEN")}
)


@st.composite
def functions(draw: st.DrawFn, name: str, others: list[str]) -> DesiredFunction:
    crons = tuple(
        DesiredCron(
            name=cron,
            settings=CronConfig(
                schedule=draw(st.sampled_from(["* * * * *", "0 4 * * *"])), args={"full": draw(st.booleans())}
            ),
        )
        for cron in sorted(draw(st.sets(st.sampled_from(["nightly", "hourly"]))))
    )
    tags = draw(TAGS)
    domains = tuple(sorted(draw(st.sets(st.sampled_from(["www.example.com", "api.example.com"])))))
    triggers = tuple(
        DesiredTrigger(
            name=trigger,
            settings=TriggerConfig(
                source="nats",
                address=draw(st.sampled_from(["orders.created", "orders.>"])),
                description=draw(st.sampled_from(["", "Orders"])),
                account="A" * 56,
                project_id="p",
                region="fr-par",
            ),
        )
        for trigger in sorted(draw(st.sets(st.sampled_from(["created", "all"]))))
    )
    owned = [
        *(owned_hash("cron", cron.name) for cron in crons),
        *(owned_hash("domain", hostname) for hostname in domains),
        *(owned_hash("trigger", trigger.name) for trigger in triggers),
        *(owned_hash("tag", tag) for tag in tags),
    ]
    function_urls = draw(st.dictionaries(st.sampled_from(["ORDERS_URL", "URL"]), st.sampled_from(others)))
    environment = {key: value for key, value in draw(ENVIRONMENTS).items() if key not in function_urls}
    return DesiredFunction(
        name=name,
        settings=FunctionConfig(
            runtime=draw(st.sampled_from(["python313", "python312", "node22"])),
            handler="handler.handle",
            memory=draw(st.sampled_from([128, 256])),
            min_scale=0,
            max_scale=draw(st.integers(1, 5)),
            timeout=draw(st.sampled_from(["30s", "300s"])),
            privacy=draw(st.sampled_from(["public", "private"])),
            http_option="enabled",
            sandbox="v2",
            description=draw(st.sampled_from(["", "Takes orders"])),
            environment=environment,
            private_network_id=draw(st.sampled_from(["", "11111111-1111-1111-1111-111111111111"])),
        ),
        secrets=tuple(sorted(draw(SECRETS))),
        tags=(*sorted(tags), *owner_tags("shop", ""), *owned_hash_tags(owned), *draw(PRELOAD)),
        crons=crons,
        domains=domains,
        triggers=triggers,
        code=draw(st.sampled_from(["a" * 32, "b" * 32])),
        archive="c" * 64,
        function_urls=function_urls,
    )


@st.composite
def projects(draw: st.DrawFn) -> DesiredState:
    names = sorted(draw(st.sets(NAMES)))
    return DesiredState(
        project="shop",
        stage="",
        namespace=DesiredNamespace(
            name="shop",
            shared=False,
            settings=NamespaceConfig(
                description=draw(st.sampled_from(["", "The shop"])),
                environment=draw(ENVIRONMENTS),
                tags=owner_tags("shop", ""),
            ),
            secrets=tuple(sorted(draw(SECRETS))),
        ),
        functions=tuple(draw(functions(name, names)) for name in names),
    )


def plan(desired: DesiredState, api: ModelApi, values: dict[str, str]) -> Plan:
    return make_plan(
        desired,
        api.observe(desired),
        api.secret_matches(values),
        api_url="http://api",
        region="fr-par",
        project_id="p",
    )


def deploy(desired: DesiredState, api: ModelApi, values: dict[str, str]) -> Plan:
    made = plan(desired, api, values)
    api.apply(made, values)
    return made


def refreshed(desired: DesiredState, api: ModelApi, values: dict[str, str]) -> Plan:
    """Plan as with --refresh, which fetches every list."""
    return make_plan(
        desired, api.observe(), api.secret_matches(values), api_url="http://api", region="fr-par", project_id="p"
    )


def contents(api: ModelApi) -> object:
    """Return the resources without their ids and without tags and domains that contain ids; names for URLs."""
    names = {url: name for name, url in api.urls().items()}
    children = {
        function.name: sorted(
            msgspec.json.encode(msgspec.structs.replace(child, id="", function_id=""))
            for child in api.attached.get(function.id, {}).values()
        )
        for function in api.functions.values()
    }
    listed = {
        name: msgspec.structs.replace(
            one,
            id="",
            namespace_id="",
            domain_name="",
            environment_variables={
                key: names.get(value, value) for key, value in one.environment_variables.items()
            },
            tags=sorted(tag for tag in one.tags if not tag.startswith("fnkit.links=")),
            secret_environment_variables=sorted(one.secret_environment_variables, key=lambda secret: secret.key),
        )
        for name, one in api.functions.items()
    }
    return children, listed


@given(projects(), VALUES)
def test_plan_after_a_deploy_is_empty(desired: DesiredState, values: dict[str, str]) -> None:
    api = ModelApi()
    deploy(desired, api, values)
    again = plan(desired, api, values)
    assert again.is_empty, again
    assert resources_to_fetch(desired, api.observe()) == (), "recorded links make fetching lists unnecessary"
    assert refreshed(desired, api, values).is_empty, "fetching every list finds no change"


@given(projects(), projects(), VALUES)
def test_variables_hold_the_urls_of_their_functions_after_each_deploy(
    a: DesiredState, b: DesiredState, values: dict[str, str]
) -> None:
    api = ModelApi()
    for desired in (a, b):
        made = deploy(desired, api, values)
        waiting = {one.name: one.function_urls for one in made.changes if isinstance(one, FunctionChange)}
        for wanted in desired.functions:
            environment = api.functions[wanted.name].environment_variables
            urls = {name: api.urls()[function] for name, function in wanted.function_urls.items()}
            assert environment == wanted.settings.environment | urls
            assert waiting[wanted.name].items() <= wanted.function_urls.items()


@given(projects(), projects(), VALUES, VALUES)
def test_deploying_a_then_b_equals_deploying_b(
    a: DesiredState, b: DesiredState, first: dict[str, str], then: dict[str, str]
) -> None:
    api, only_b = ModelApi(), ModelApi()
    deploy(a, api, first)
    deploy(b, api, then)
    deploy(b, only_b, then)
    assert contents(api) == contents(only_b)
    assert plan(b, api, then).is_empty
    assert refreshed(b, api, then).is_empty


def foreign_function(name: str) -> Function:
    api = ModelApi()
    deploy(
        DesiredState(
            project="other",
            stage="",
            namespace=DesiredNamespace(
                name="shop",
                shared=True,
                settings=NamespaceConfig(description="", environment={}, tags=()),
                secrets=(),
            ),
            functions=(desired_function(name, tags=("fnkit",)),),
        ),
        api,
        {},
    )
    return msgspec.structs.replace(api.functions[name], id=f"foreign-{name}", tags=["foreign"])


@given(projects(), projects(), VALUES)
def test_foreign_resources_are_neither_changed_nor_deleted(
    a: DesiredState, b: DesiredState, values: dict[str, str]
) -> None:
    api = ModelApi()
    deploy(a, api, values)
    foreign = foreign_function("theirs")
    api.functions["theirs"] = foreign
    for function in a.functions[:1]:
        function_id = api.functions[function.name].id
        api.attached[function_id]["foreign-cron"] = Cron(
            id="foreign-cron", function_id=function_id, schedule="1 1 1 1 1", args={}, status="ready", name="theirs"
        )
    applied = deploy(b, api, values)
    assert api.functions["theirs"] == foreign
    assert "function theirs" in applied.foreign
    in_both = {function.name for function in a.functions[:1]} & {function.name for function in b.functions}
    for name in in_both:
        change = next(one for one in applied.changes if isinstance(one, FunctionChange) and one.name == name)
        if change.action is not Action.REPLACE:
            assert "foreign-cron" in api.attached[api.functions[name].id]
    destruction = plan_destroy(
        api.observe(), project="shop", stage="", namespace="shop", api_url="", region="", project_id=""
    )
    api.apply(destruction, values)
    assert list(api.functions) == ["theirs"]
    assert api.namespace is not None, "a namespace with foreign functions is kept"


@given(projects(), VALUES)
def test_destroy_deletes_every_resource(desired: DesiredState, values: dict[str, str]) -> None:
    api = ModelApi()
    deploy(desired, api, values)
    api.apply(
        plan_destroy(
            api.observe(), project="shop", stage="", namespace="shop", api_url="", region="", project_id=""
        ),
        values,
    )
    assert (api.namespace, api.functions) == (None, {})


def existing(api: ModelApi) -> set[tuple[str, ...]]:
    """Return what a user would miss: functions by id, and the names of their crons, domains and triggers."""
    found: set[tuple[str, ...]] = {(name, function.id) for name, function in api.functions.items()}
    for name, function in api.functions.items():
        for child in api.attached.get(function.id, {}).values():
            found.add(
                (name, type(child).__name__, child.hostname if isinstance(child, Domain) else child.name or "")
            )
    return found


@given(projects(), projects(), VALUES)
def test_what_is_gone_after_a_plan_needed_a_confirmation(
    a: DesiredState, b: DesiredState, values: dict[str, str]
) -> None:
    api = ModelApi()
    deploy(a, api, values)
    before = existing(api)
    made = deploy(b, api, values)
    gone = before - existing(api)
    confirmed = deletions(made)
    functions = {one.name for one in confirmed if isinstance(one, FunctionChange)}
    attached = {
        (one.function, type(one).__name__.removesuffix("Change"), one.name)
        for one in confirmed
        if isinstance(one, CronChange | DomainChange | TriggerChange)
    }
    assert {item for item in gone if item[0] not in functions} == attached
    assert functions <= {item[0] for item in gone}


@given(projects(), VALUES)
def test_destruction_needs_a_confirmation(desired: DesiredState, values: dict[str, str]) -> None:
    api = ModelApi()
    deploy(desired, api, values)
    destruction = plan_destroy(
        api.observe(), project="shop", stage="", namespace="shop", api_url="", region="", project_id=""
    )
    assert deletions(destruction) == destruction.changes


@given(projects(), projects(), VALUES)
def test_plan_round_trips_through_json(a: DesiredState, b: DesiredState, values: dict[str, str]) -> None:
    api = ModelApi()
    deploy(a, api, values)
    made = plan(b, api, values)
    assert decode_plan(encode_plan(made)) == made


@given(projects(), VALUES)
def test_plan_contains_no_secret_value(desired: DesiredState, values: dict[str, str]) -> None:
    marked = {name: f"s3cr3t-{value}" for name, value in values.items()}
    text = encode_plan(plan(desired, ModelApi(), marked)).decode()
    assert "s3cr3t" not in text


@given(st.text(max_size=80), st.text(max_size=80), st.sets(st.text(max_size=8), max_size=60))
def test_fnkit_tags_fit_the_limits_of_the_api(project: str, stage: str, children: set[str]) -> None:
    tags = (*owner_tags(project, stage), *owned_hash_tags(owned_hash("cron", child) for child in children))
    for tag in tags:
        assert len(tag) <= MAX_TAG_LENGTH
        assert is_fnkit_tag(tag)
        assert all(character.isascii() and (character.isalnum() or character in "=._-") for character in tag)
