"""What a decorator says about a handler: frozen values, as the author wrote them, nothing checked yet.

A declaration holds what was *given*; ``None`` means "not given", so that project-wide settings can fill it in.
Checking and defaults are ``fnkit.project``'s work, where all problems can be told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["ATTRIBUTE", "CronDeclaration", "Declaration", "FunctionDeclaration", "TriggerDeclaration"]

ATTRIBUTE = "__fnkit__"
"""The attribute of a handler under which its declarations stand, as one tuple in the order of writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionDeclaration:
    """``@function``: every field of the API's CreateFunction and CreateDomain, under its plain name.

    memory: MB. timeout: seconds, or ``"30s"``, ``"5m"``. secrets: names of environment variables on the
    deploying machine. domains: custom hostnames. slice: False deploys on any change of the project.
    preload: False keeps third-party imports out of warm-up.
    """

    name: str | None = None
    runtime: str | None = None
    memory: int | None = None
    min_scale: int | None = None
    max_scale: int | None = None
    timeout: str | int | float | None = None
    privacy: str | None = None
    http_option: str | None = None
    sandbox: str | None = None
    description: str | None = None
    env: Mapping[str, str] | None = None
    secrets: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    domains: tuple[str, ...] | None = None
    private_network_id: str | None = None
    slice: bool | None = None
    preload: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CronDeclaration:
    """``@cron``: a UNIX schedule in UTC, the JSON object to POST, and an optional name."""

    schedule: str
    args: Mapping[str, object] | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDeclaration:
    """``@trigger``: exactly one of a NATS subject and an SQS queue.

    account: the NATS account's id. project_id, region: where the queue or the account lives.
    """

    nats: str | None = None
    sqs: str | None = None
    name: str | None = None
    description: str | None = None
    account: str | None = None
    project_id: str | None = None
    region: str | None = None


Declaration: TypeAlias = FunctionDeclaration | CronDeclaration | TriggerDeclaration
"""What one decorator says. A handler's tuple holds any of them, in any number and order."""
