"""The commands that a deploy suggests once it has created something: how to call it, and where its output is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.cli.suggestions import suggested_command

if TYPE_CHECKING:
    from fnkit.deploy.events import ApplyResult
    from fnkit.project import FunctionSpec, Project

_KEY_HEADER = "X-Auth-Token: $SCW_SECRET_KEY"
_MESSAGE = '{"key": "value"}'


def next_steps(
    common: CommonOptions, api: ApiOptions, project: Project, applied: ApplyResult, urls: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the commands to suggest after a deploy, none if it created no function that can be called.

    Args:
        common: The common options of the deploy.
        api: Its API options.
        project: The project.
        applied: Its result.
        urls: The URL of each function by name.
    """
    ready = [one for one in applied.functions if one.status == "ready"]
    created = {one.name for one in ready if one.action in ("create", "replace")}
    idle = {one.function for one in applied.idle_triggers}
    specs = [spec for spec in project.functions if spec.name in created and (spec.crons or spec.name not in idle)]
    if not specs:
        return ()
    # A function for HTTP before those that crons and triggers call, and one that needs no token before the others.
    first = min(specs, key=lambda spec: (bool(spec.crons or spec.triggers), spec.privacy == "private"))
    return (_call(common, api, first, urls), suggested_command(common, api, "logs", "--follow"))


def _call(common: CommonOptions, api: ApiOptions, spec: FunctionSpec, urls: Mapping[str, str]) -> str:
    if spec.crons:
        return suggested_command(common, api, "cron", "run", f"{spec.name}/{spec.crons[0].name}")
    if spec.triggers and api.local:
        first = spec.triggers[0]
        subject = ("--subject", "SUBJECT") if {"*", ">"} & set(first.address.split(".")) else ()
        return suggested_command(common, api, "trigger", "send", f"{spec.name}/{first.name}", _MESSAGE, *subject)
    url = shlex.quote(urls[spec.name])
    if spec.privacy != "private":
        return f"curl {url}"
    call = f'curl -H "{_KEY_HEADER}" {url}'
    # The key of the local platform is in no variable of the shell.
    return f'(eval "$(fnkit platform env)" && {call})' if api.local else call
