"""The main commands in sequence: new, deploy, plan, status, destroy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.killing_proxy import killing_proxy
from tests.support.platform import PlatformUnderTest, api_get, call_function

Json = dict[str, Any]  # a decoded JSON object


def functions_of(document: Json) -> dict[str, Json]:
    """Return the functions of a deploy or status document by name."""
    functions = document["functions"]
    assert isinstance(functions, list)
    return {str(one["name"]): one for one in functions}


def actions_of(document: Json) -> dict[str, str]:
    return {name: str(one["action"]) for name, one in functions_of(document).items()}


@pytest.mark.slow
def test_new_project_is_deployed_called_and_destroyed(platform: PlatformUnderTest, project: Path) -> None:
    fnkit = platform.command
    fnkit("new", "shop", "--template", "api").ok()
    shop = project / "shop"
    first = fnkit("deploy", "--local", "--json", cwd=shop).ok().json()
    functions = functions_of(first)
    assert set(actions_of(first).values()) == {"create"}
    assert {one["status"] for one in functions.values()} == {"ready"}
    name, one = next(iter(functions.items()))
    assert call_function(platform, str(one["domain"])).status < 500

    again = fnkit("deploy", "--local", "--json", cwd=shop).ok().json()
    assert set(actions_of(again).values()) == {"keep"}
    assert again["uploaded_bytes"] == 0
    assert fnkit("plan", "--local", "--exit-code", cwd=shop).code == 0

    state = functions_of(fnkit("status", "--local", "--json", cwd=shop).ok().json())
    assert state[name]["status"] == "ready"
    assert state[name]["drift"] == []

    fnkit("destroy", "--local", "--yes", cwd=shop).ok()
    assert api_get(platform, "namespaces?name=shop")["total_count"] == 0
    assert call_function(platform, str(one["domain"])).status == 404


@pytest.mark.slow
def test_changed_handler_updates_only_its_function(platform: PlatformUnderTest, project: Path) -> None:
    fnkit = platform.command
    (project / "fnkit.toml").write_text('name = "pair"\n')
    (project / "left.py").write_text(
        "from fnkit import function\n\n@function\ndef left(event, context):\n    return 'left one'\n"
    )
    (project / "right.py").write_text(
        "from fnkit import function\n\n@function\ndef right(event, context):\n    return 'right'\n"
    )
    first = functions_of(fnkit("deploy", "--local", "--json").ok().json())
    assert call_function(platform, str(first["left"]["domain"])).text == "left one"

    left = project / "left.py"
    left.write_text(left.read_text().replace("left one", "left two"))
    planned = fnkit("plan", "--local", "--json", "--exit-code")
    assert planned.code == 2
    reasons = {
        str(change["name"]): change["reasons"] for change in planned.json()["changes"] if change["action"] != "keep"
    }
    assert reasons == {"left": ["code: left.py changed"]}

    second = fnkit("deploy", "--local", "--json").ok().json()
    assert actions_of(second) == {"left": "update", "right": "keep"}
    assert call_function(platform, str(first["left"]["domain"])).text == "left two"
    assert call_function(platform, str(first["right"]["domain"])).text == "right"
    fnkit("destroy", "--local", "--yes").ok()


@pytest.mark.long
@pytest.mark.slow
def test_removed_declarations_are_removed_from_the_platform(platform: PlatformUnderTest, project: Path) -> None:
    fnkit = platform.command
    (project / "fnkit.toml").write_text('name = "leaving"\n')
    main = project / "main.py"
    main.write_text(
        "import os\nfrom fnkit import cron, function\n\n"
        "@cron('0 4 * * *', args={'full': True})\n"
        "@function(env={'LEVEL': 'debug'}, secrets=['API_KEY'], memory=128)\n"
        "def report(event, context):\n"
        "    return {'level': os.environ.get('LEVEL'), 'key': os.environ.get('API_KEY')}\n\n"
        "@function\ndef extra(event, context):\n    return 'extra'\n"
    )
    first = functions_of(fnkit("deploy", "--local", "--json", API_KEY="k3y-one").ok().json())
    answer = call_function(platform, str(first["report"]["domain"]))
    assert answer.json() == {"level": "debug", "key": "k3y-one"}

    second = fnkit("deploy", "--local", "--json", API_KEY="k3y-two").ok()
    assert actions_of(second.json()) == {"report": "update", "extra": "keep"}
    assert "k3y" not in second.stdout + second.stderr
    assert call_function(platform, str(first["report"]["domain"])).json() == {"level": "debug", "key": "k3y-two"}

    main.write_text(
        "import os\nfrom fnkit import function\n\n@function\ndef report(event, context):\n"
        "    return {'level': os.environ.get('LEVEL'), 'key': os.environ.get('API_KEY')}\n"
    )
    third = fnkit("deploy", "--local", "--json", "--yes").ok().json()
    assert actions_of(third) == {"report": "update", "extra": "delete"}
    assert call_function(platform, str(first["report"]["domain"])).json() == {"level": None, "key": None}
    listed = api_get(platform, "functions?name=report")["functions"]
    assert isinstance(listed, list)
    (live,) = [one for one in listed if one["domain_name"] == first["report"]["domain"]]
    assert (live["memory_limit"], live["environment_variables"]) == (256, {})
    assert api_get(platform, f"crons?function_id={live['id']}")["total_count"] == 0
    assert call_function(platform, str(first["extra"]["domain"])).status == 404
    fnkit("destroy", "--local", "--yes").ok()


@pytest.mark.long
@pytest.mark.slow
def test_stages_are_deployed_independently(platform: PlatformUnderTest, project: Path) -> None:
    fnkit = platform.command
    (project / "fnkit.toml").write_text('name = "staged"\n[stages.test.env]\nSTAGE = "test"\n')
    (project / "main.py").write_text(
        "import os\nfrom fnkit import function\n\n@function\n"
        "def where(event, context):\n    return os.environ.get('STAGE', 'none')\n"
    )
    plain = functions_of(fnkit("deploy", "--local", "--json").ok().json())
    staged = functions_of(fnkit("deploy", "--local", "--json", "--stage", "test").ok().json())
    assert call_function(platform, str(plain["where"]["domain"])).text == "none"
    assert call_function(platform, str(staged["where"]["domain"])).text == "test"
    fnkit("destroy", "--local", "--yes").ok()
    assert call_function(platform, str(staged["where"]["domain"])).text == "test"
    fnkit("destroy", "--local", "--yes", "--stage", "test").ok()


@pytest.mark.long
@pytest.mark.slow
def test_saved_plan_is_applied_once_and_then_stale(platform: PlatformUnderTest, project: Path) -> None:
    fnkit = platform.command
    (project / "fnkit.toml").write_text('name = "promised"\n')
    main = project / "main.py"
    main.write_text("from fnkit import function\n\n@function\ndef hello(event, context):\n    return 'one'\n")
    fnkit("plan", "--local", "--out", "plan.json").ok()
    applied = functions_of(fnkit("deploy", "--local", "--json", "--plan", "plan.json").ok().json())
    assert applied["hello"]["status"] == "ready"
    stale = fnkit("deploy", "--local", "--json", "--plan", "plan.json")
    assert stale.code == 1
    assert stale.json()["error"]["code"] == "stale-plan"
    fnkit("destroy", "--local", "--yes").ok()


@pytest.mark.long
@pytest.mark.slow
def test_resources_of_other_projects_are_not_changed(platform: PlatformUnderTest, project: Path) -> None:
    fnkit = platform.command
    (project / "fnkit.toml").write_text('name = "mine"\nnamespace = "common"\n')
    (project / "main.py").write_text(
        "from fnkit import function\n\n@function\ndef mine(event, context):\n    return 'mine'\n"
    )
    fnkit("deploy", "--local").ok()
    other = project / "other"
    other.mkdir()
    (other / "fnkit.toml").write_text('name = "other"\nnamespace = "common"\n')
    (other / "main.py").write_text(
        "from fnkit import function\n\n@function\ndef theirs(event, context):\n    return 'theirs'\n"
    )
    result = fnkit("deploy", "--local", "--json", cwd=other)
    assert result.code == 1
    assert result.json()["error"]["code"] == "namespace-not-owned"
    (other / "fnkit.toml").write_text('name = "other"\nnamespace = { name = "common", shared = true }\n')
    shared = functions_of(fnkit("deploy", "--local", "--json", cwd=other).ok().json())
    destroyed = fnkit("destroy", "--local", "--yes", "--json").ok().json()
    assert destroyed["deleted"] == [{"kind": "function", "name": "mine"}]
    assert call_function(platform, str(shared["theirs"]["domain"])).text == "theirs"
    fnkit("destroy", "--local", "--yes", cwd=other).ok()


@pytest.mark.long
@pytest.mark.slow
def test_domains_and_triggers_follow_their_declarations(platform: PlatformUnderTest, project: Path) -> None:
    fnkit = platform.command
    (project / "fnkit.toml").write_text('name = "links"\n')
    main = project / "main.py"
    main.write_text(
        "from fnkit import function, trigger\n\n"
        f"@trigger(nats='orders.created', account='{'A' * 56}')\n"
        "@trigger(sqs='jobs')\n"
        "@function(domains=['www.links.example'])\n"
        "def hello(event, context):\n    return 'hello'\n"
    )
    fnkit("deploy", "--local").ok()
    listed = api_get(platform, "functions?name=hello&page_size=100")["functions"]
    assert isinstance(listed, list)
    (live,) = [one for one in listed if one["domain_name"].startswith("links")]
    assert call_function(platform, "www.links.example").text == "hello"
    assert api_get(platform, f"triggers?function_id={live['id']}")["total_count"] == 2
    assert fnkit("plan", "--local", "--exit-code").code == 0
    assert fnkit("plan", "--local", "--exit-code", "--refresh").code == 0

    main.write_text(
        "from fnkit import function, trigger\n\n@trigger(sqs='later', name='sqs-jobs')\n@function\n"
        "def hello(event, context):\n    return 'hello'\n"
    )
    changes = {
        str(change["name"]): str(change["action"])
        for change in fnkit("plan", "--local", "--json").ok().json()["changes"]
    }
    assert changes == {
        "links": "keep",
        "hello": "update",
        "www.links.example": "delete",
        "nats-orders-created": "delete",
        "sqs-jobs": "replace",
    }
    fnkit("deploy", "--local", "--yes").ok()
    assert call_function(platform, "www.links.example").status == 404
    assert api_get(platform, f"triggers?function_id={live['id']}")["total_count"] == 1
    assert fnkit("plan", "--local", "--exit-code", "--refresh").code == 0
    fnkit("destroy", "--local", "--yes").ok()


@pytest.mark.long
@pytest.mark.slow
def test_plan_without_changes_makes_four_requests(platform: PlatformUnderTest, project: Path) -> None:
    (project / "fnkit.toml").write_text('name = "sparing"\n')
    (project / "main.py").write_text(
        "from fnkit import cron, function\n\n"
        + "".join(
            f"@cron('0 4 * * *')\n@function\ndef job{number}(event, context):\n    return 'done'\n\n"
            for number in range(5)
        )
    )
    platform.command("deploy", "--local").ok()
    with killing_proxy(platform.api_url, after=None, kill=lambda: None) as proxy:
        planned = Command({**platform.environment, "SCW_API_URL": proxy.url})("plan", "--exit-code")
    assert planned.code == 0, planned.stdout
    assert [request.rpartition("/")[2] for request in proxy.requests] == [
        "platform",
        "runtimes",
        "namespaces",
        "functions",
    ]
    platform.command("destroy", "--local", "--yes").ok()
