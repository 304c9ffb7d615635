"""Every command as its user sees it: in terminals of two widths, and through a pipe.

What differs between runs is replaced by text of the same length, so that columns stay where they are.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import Completed
from tests.support.screen_world import ScreenWorld, wait_for_signups
from tests.support.terminal import terminal
from tests.support.terminal_screen import shown_text, with_marks

__all__ = ["SCREENS", "VARIANTS", "WITHOUT_SCREEN", "Screen", "Variant", "capture"]


@dataclass(frozen=True, slots=True)
class Variant:
    """Where a command is shown: a terminal of so many columns, or a pipe."""

    name: str
    columns: int | None
    has_marks: bool = False


VARIANTS = (Variant("100", 100, has_marks=True), Variant("60", 60), Variant("pipe", None))

Preparation = Callable[[ScreenWorld, str], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Screen:
    """A command that is shown.

    Attributes:
        name: Name of its golden files.
        arguments: What is typed after ``fnkit``; ``{stage}`` is a stage of this variant's own, ``{x}`` a value of
            ``before``.
        directory: Where; by default in the deployed project.
        code: The exit code.
        stdin: Standard input.
        before: Prepares the world, and returns values for the arguments.
        after: Undoes what the command did.
    """

    name: str
    arguments: str
    directory: Callable[[ScreenWorld], Path] = field(default=lambda world: world.project)
    code: int = 0
    stdin: str = ""
    before: Preparation | None = None
    after: Preparation | None = None

    @property
    def verb(self) -> tuple[str, ...]:
        """The words that name the command."""
        words = []
        for word in self.arguments.split():
            if not re.fullmatch(r"[a-z-]+", word) or word.startswith("-"):
                break
            words.append(word)
        return tuple(words)


def capture(screen: Screen, variant: Variant, world: ScreenWorld) -> str:
    """Run a command and return what it shows.

    Raises:
        AssertionError: It ended with another exit code.
    """
    stage = f"p{zlib.crc32(f'{screen.name} {variant.name}'.encode()):08x}"[: len(_SHOWN_STAGE)]
    values = dict(screen.before(world, stage) or {}) if screen.before else {}
    arguments = [one.format(stage=stage, **values) for one in screen.arguments.split()]
    literals = {**world.literals, stage: _SHOWN_STAGE}
    try:
        if variant.columns is None:
            done = world.platform.command(*arguments, cwd=screen.directory(world), stdin=screen.stdin)
            code, text = done.code, _without_terminal(done)
        else:
            code, text = _in_terminal(screen, arguments, variant, world)
    finally:
        if screen.after:
            screen.after(world, stage)
    shown = normalised(text, literals)
    assert code == screen.code, f"{arguments} → {code}\n{shown}"
    return shown


def _without_terminal(done: Completed) -> str:
    return done.stdout + (f"--- stderr\n{done.stderr}" if done.stderr else "")


def _in_terminal(screen: Screen, arguments: Sequence[str], variant: Variant, world: ScreenWorld) -> tuple[int, str]:
    directory = screen.directory(world)
    variables = {**world.platform.command.environment, "COLORTERM": ""}
    home = {name: value for name, value in variables.items() if value is not None}
    with terminal(*arguments, directory=directory, columns=variant.columns or 0, variables=home) as session:
        if screen.stdin:
            session.type(screen.stdin)
        code = session.wait()
        lines = shown_text(session.shown)
    return code, "".join(f"{with_marks(line) if variant.has_marks else line.plain}\n" for line in lines)


_SHOWN_STAGE = "preview"
_SAME_LENGTH = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "11111111-2222-4333-8444-555555555555"),
    (re.compile(r"\bSCW[A-Z0-9]{17}\b"), "SCW00000000000000000"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-11-30T14:05:00Z"),
    (re.compile(r"\b[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d\b"), "Mon 2026-11-30 14:05"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d{5}\b"), "48481"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "0123456789abcdef" * 4),
    (re.compile(r"\b[0-9a-f]{32}\b"), "0123456789abcdef" * 2),
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{8}\b"), "1a2b3c4d"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"),
    (re.compile(r"\bin (?:29|30) min\b"), "in 29 min"),  # the next run of a schedule that is exact to the minute
    (re.compile(r"(?<=pid )\d+"), "4711"),
    (re.compile(r"(?<=control )\d+"), "4712"),
    (re.compile(r"(?<=data plane )\d+"), "4713"),
    (re.compile(r"(?<=nats )\d+\b(?!\.)"), "4714"),
)
_AMOUNT = re.compile(r"(?P<space> *)(?P<mark>(?:‹[^›]*›)?)\b\d+\.\d (?P<unit>ms|s|kB|MB)\b")
_SHOWN_AMOUNT = "1.2"
# How far away a previewed run is: that depends on the clock of this machine. Nothing follows it in its line.
_AWAY = re.compile(r"(Mon 2026-11-30 14:05  (?:‹dim›)?)in \d+ (?:s|min|h|d)\b")


def normalised(text: str, literals: Mapping[str, str]) -> str:
    """Return the text with what differs between runs replaced, in the same width where it is in a table."""
    # In one pass: what one literal is shown as can be another literal.
    found = re.compile("|".join(map(re.escape, sorted(literals, key=len, reverse=True))))
    text = found.sub(lambda literal: literals[literal[0]], text)
    for pattern, shown in _SAME_LENGTH:
        text = pattern.sub(shown, text)
    text = _AWAY.sub(r"\1in 2 h", text)
    return _AMOUNT.sub(_same_width, text)


def _same_width(amount: re.Match[str]) -> str:
    shown = f"{_SHOWN_AMOUNT} {amount['unit']}"
    width = len(amount[0]) - len(amount["mark"])
    padding = " " * (width - len(shown)) if len(amount["space"]) > 1 else amount["space"]
    return f"{padding}{amount['mark']}{shown}"


def _empty_folder(world: ScreenWorld) -> Path:
    return world.folder("new")


def _with_handler(world: ScreenWorld) -> Path:
    folder = world.folder("new")
    (folder / "handler.py").write_text("def handle(event, context):\n    return 'ok'\n", encoding="utf-8")
    return folder


def _fnkit(*arguments: str) -> Preparation:
    """Return a preparation that runs a command; ``{stage}`` is the stage of the variant."""

    def run(world: ScreenWorld, stage: str) -> None:
        filled = [one.format(stage=stage) for one in arguments]
        world.platform.command(*filled, "--local", cwd=world.project).ok()

    return run


def _delete_tokens(world: ScreenWorld, _stage: str) -> None:
    fnkit = world.platform.command
    for one in fnkit("token", "list", "--json", "--local", cwd=world.project).ok().json()["tokens"]:
        fnkit("token", "delete", str(one["id"]), "--local", cwd=world.project).ok()


def _create_token(world: ScreenWorld, _stage: str) -> dict[str, str]:
    options = ("--expires", "30d", "--description", "for the people of the night shift, who have no key")
    created = world.platform.command("token", "create", "admin", *options, "--json", "--local", cwd=world.project)
    return {"token": str(created.ok().json()["id"])}


def _set_secret(world: ScreenWorld, _stage: str) -> None:
    world.platform.command("secret", "set", "SALT", cwd=world.project, stdin="x").ok()


def _delete_api_keys(world: ScreenWorld, _stage: str) -> None:
    fnkit = world.platform.command
    for one in fnkit("platform", "api-key", "list", "--json").ok().json()["keys"]:
        fnkit("platform", "api-key", "delete", str(one["access_key"])).ok()


def _create_api_key(world: ScreenWorld, _stage: str) -> dict[str, str]:
    created = world.platform.command("platform", "api-key", "create", "--json").ok().json()
    return {"key": str(created["access_key"])}


def _deploy_one(world: ScreenWorld, stage: str) -> None:
    world.platform.command("deploy", "admin", "--stage", stage, "--local", cwd=world.project).ok()


def _destroy(directory: Callable[[ScreenWorld], Path]) -> Preparation:
    def destroy(world: ScreenWorld, stage: str) -> None:
        world.platform.command("destroy", "--yes", "--stage", stage, "--local", cwd=directory(world)).ok()

    return destroy


def _project(world: ScreenWorld) -> Path:
    return world.project


def _changed(world: ScreenWorld) -> Path:
    return world.changed


def _invalid(world: ScreenWorld) -> Path:
    return world.invalid


def _failing(world: ScreenWorld) -> Path:
    return world.failing


def _backup(world: ScreenWorld, _stage: str) -> None:
    world.platform.command("platform", "backup", str(world.folder("new") / "saved")).ok()


SCREENS = (
    Screen("fnkit", ""),
    Screen("new", "new library", _empty_folder),
    Screen("new-list", "new --list"),
    Screen("init", "init", _with_handler),
    Screen("scan", "scan"),
    Screen("scan-problems", "scan", _invalid, code=2),
    Screen("lock", "lock"),
    Screen("plan", "plan --local"),
    Screen("plan-create", "plan --stage {stage} --local"),
    Screen("plan-changes", "plan --local", _changed),
    Screen("deploy", "deploy admin --stage {stage} --local", after=_destroy(_project)),
    Screen("deploy-unchanged", "deploy --local"),
    Screen("deploy-problems", "deploy --local", _invalid, code=2),
    Screen("deploy-failed", "deploy --stage {stage} --local", _failing, code=1, after=_destroy(_failing)),
    Screen("status", "status --local"),
    Screen("status-verbose", "status --local --verbose"),
    Screen("status-missing", "status --local", _changed),
    Screen("status-undeployed", "status --stage {stage} --local"),
    Screen("invoke", "invoke books --path /catalogue"),
    Screen("invoke-remote", "invoke on-order --data 17 --remote --local", code=1),
    Screen("event-nats", "event nats --data 4711"),
    Screen("cron-list", "cron list --local"),
    Screen("cron-next", "cron next"),
    Screen("cron-run", "cron run report-2 --local"),
    Screen("cron-history", "cron history books/nightly --local"),
    Screen("trigger-list", "trigger list --local"),
    Screen("trigger-send", "trigger send on-signup ada --local", after=wait_for_signups),
    Screen("trigger-deliveries", "trigger deliveries on-order --local"),
    Screen("open", "open books --print --local"),
    Screen("token-create", "token create admin --expires 30d --local", after=_delete_tokens),
    Screen("token-list", "token list --local", before=_create_token, after=_delete_tokens),
    Screen("token-list-empty", "token list --local"),
    Screen("token-delete", "token delete {token} --local", before=_create_token),
    Screen(
        "domain-add",
        "domain add extra.example.com admin --local",
        after=_fnkit("domain", "remove", "extra.example.com"),
    ),
    Screen("domain-list", "domain list --local"),
    Screen(
        "domain-remove",
        "domain remove extra.example.com --local",
        before=_fnkit("domain", "add", "extra.example.com", "admin"),
    ),
    Screen("secret-list", "secret list --deployed --local"),
    Screen("secret-unset", "secret unset SALT", before=_set_secret),
    Screen("destroy", "destroy --yes --stage {stage} --local", before=_deploy_one),
    Screen("platform-start", "platform start --detach"),
    Screen("platform-status", "platform status"),
    Screen("platform-stop", "platform stop --data-dir {stage}", _empty_folder),
    Screen("platform-status-stopped", "platform status --data-dir {stage}", _empty_folder),
    Screen("platform-backup", "platform backup saved", _empty_folder),
    Screen("platform-api-key-create", "platform api-key create --read-only", after=_delete_api_keys),
    Screen("platform-api-key-list", "platform api-key list"),
    Screen("platform-api-key-delete", "platform api-key delete {key}", before=_create_api_key),
    Screen("explain", "explain bad-schedule"),
    Screen("error-usage", "depoy", code=2),
    Screen("error-unknown-name", "cron history report-3 --local", code=1),
    Screen("error-not-deployed", "token list --stage {stage} --local", code=1),
)

_MACHINE = "what it shows depends on the machine; its view is compared instead"
_OWN = "its output has golden files of its own"
_PROGRAMS = "its output is for another program"
WITHOUT_SCREEN = {
    "login": _MACHINE,
    "bundle": _MACHINE,
    "doctor": _MACHINE,
    "test": _MACHINE,
    "platform trust": _MACHINE,
    "platform restore": _MACHINE,
    "dev": _OWN,
    "logs": _OWN,
    "platform logs": _OWN,
    "openapi": _PROGRAMS,
    "event http": _PROGRAMS,
    "event cron": _PROGRAMS,
    "event sqs": _PROGRAMS,
    "completion": _PROGRAMS,
    "platform env": _PROGRAMS,
    "platform manifests": _PROGRAMS,
    "secret set": "it asks for a value that nobody sees; test_secret_command.py types one",
    "platform reset": "it would delete what the other commands show",
}
