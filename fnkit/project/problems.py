"""Every problem that a project can have: what it means and what to do; the one table of their codes.

``docs/errors.md`` prints it. A test holds that each code that is raised stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["PROBLEMS", "Explanation", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a problem means, and what to do about it; one or two sentences each."""

    meaning: str
    remedy: str


def explain(code: str) -> Explanation | None:
    """The table's row for a code, or ``None``."""
    return PROBLEMS.get(code)


_SCANNING: Final = {
    "bad-argument": (
        "A decorator's argument has a type that its setting cannot have.",
        "Give it the type that the message names; docs/settings.md has them all.",
    ),
    "computed-argument": (
        "A decorator's argument is computed, so its value is not known without running the module.",
        "Write a constant: literals, arithmetic, f-strings and names of this module work. Or use --import.",
    ),
    "decorator-called": (
        "A decorator of fnkit is called, or passed on, instead of standing above a def with @.",
        "Write it as a decorator, or use --import.",
    ),
    "file-unreadable": ("A file of the project cannot be read.", "Check its permissions, or exclude it."),
    "fnkit-not-bundled": (
        "A handler reaches a part of fnkit that deployed bundles do not carry.",
        "Handlers can use fnkit, fnkit.authoring and fnkit.errors; move other uses to modules they do not import.",
    ),
    "handler-conditional": (
        "A handler is declared inside an if, a loop, a try or a with, so it may be there or not.",
        "Move it to the module's top level, or use --import.",
    ),
    "handler-nested": (
        "A handler is declared inside a class or a function, where the platform cannot reach it.",
        "Move it to the module's top level.",
    ),
    "handler-path": (
        "The name of a handler's file or folder has a dot in it, and a handler string has exactly one.",
        "Rename the file or folder.",
    ),
    "handler-shadowed": (
        "The platform imports a handler's module by its bare name, and another module of that name comes first.",
        "Rename the file.",
    ),
    "import-failed": (
        "With --import, the module raised an error or ended its process while it was imported.",
        "Make it import on this machine: install what it needs, set what it reads from the environment.",
    ),
    "import-timeout": (
        "With --import, importing the module took too long and was stopped.",
        "Keep work out of the module's top level.",
    ),
    "positional-argument": ("A setting was given without its name.", "Write it as in memory=256."),
    "relative-import": (
        "A module with handlers uses a relative import, which fails where it is imported by its bare name.",
        "Import from the project's folder: from handlers import shared.",
    ),
    "syntax-error": ("A file that imports fnkit is not valid Python.", "Correct the line."),
    "syntax-newer-than-host": (
        "A file cannot be parsed by the Python that runs fnkit, which is older than the function's runtime.",
        "Run fnkit with the runtime's Python, or write what the older one reads.",
    ),
    "unknown-argument": ("A decorator has no such argument.", "Compare with docs/settings.md."),
}

_SETTINGS: Final = {
    "bad-project-name": (
        "The project's name cannot stand in a tag, by which the platform knows what is the project's.",
        "Use 1 to 50 letters, digits and any of . _ -",
    ),
    "bad-region": ("There is no such region.", "Use fr-par, nl-ams or pl-waw."),
    "bad-stage": (
        "A stage's name becomes part of a namespace's, and this one cannot.",
        "Use 1 to 16 lower-case letters, digits and dashes, starting with a letter or digit.",
    ),
    "no-settings": (
        "The folder holds neither fnkit.toml nor a pyproject.toml with [tool.fnkit].",
        "Go to the project's folder, or make one with fnkit new.",
    ),
    "setting-missing": ("A setting that has no default is not given.", "Add it."),
    "setting-type": ("A setting has a value of the wrong type.", "Compare with docs/settings.md."),
    "settings-twice": (
        "Settings stand both in fnkit.toml and in pyproject.toml, and only one of them can count.",
        "Keep one.",
    ),
    "shared-namespace": (
        "A namespace that is shared with others has its own settings, which this project never touches.",
        "Set them on the functions, under defaults, or own the namespace.",
    ),
    "toml-syntax": ("The settings are not valid TOML.", "Correct the line."),
    "unknown-function": ("A stage has settings for a function that there is not.", "Correct the name."),
    "unknown-setting": ("There is no such setting.", "Correct the name; docs/settings.md lists them all."),
}

_FUNCTIONS: Final = {
    "bad-choice": ("A setting takes one of a few words, and this is none of them.", "Use one of those named."),
    "bad-cron-args": (
        "A cron's args are sent as JSON, which cannot say this, or they are larger than a request may be.",
        "Use texts, numbers, lists and tables, up to 6 MiB.",
    ),
    "bad-domain": ("A custom domain is not a hostname.", "Write it as shop.example.com, without scheme or port."),
    "bad-handler": ("A handler has not the form that its language wants.", "Compare with docs/handlers.md."),
    "bad-memory": ("Memory comes in tiers.", "Use 128, 256, 512, 1024, 2048, 3072 or 4096 MB."),
    "bad-name": (
        "The platform does not take this name.",
        "Functions: lower-case letters, digits and dashes, at most 34. Triggers: 2 to 100 letters, digits, dashes.",
    ),
    "bad-path": ("A function's folder must lie inside the project.", "Write it relative to the settings, with /."),
    "bad-private-network": ("A private network is named by its id.", "Use the UUID that the platform shows."),
    "bad-scale": (
        "A scale is out of range, or min_scale is above max_scale.",
        "min_scale 0-50, max_scale 1-50.",
    ),
    "bad-schedule": (
        "A schedule is not five UNIX cron fields.",
        "Minute, hour, day of month, month, day of week; operators * - , /; names JAN-DEC and SUN-SAT; in UTC.",
    ),
    "bad-tag": ("A tag has characters, or a length, that tags cannot have.", "1 to 64 letters, digits and = . _ -"),
    "bad-timeout": ("A timeout is no length of time, or out of range.", '10 s to 1 h, as 30, "30s", "5m".'),
    "bad-trigger": (
        "A trigger has not exactly one valid subject or queue, or a field that does not go with it.",
        "Give nats= or sqs=, the latter by the queue's name.",
    ),
    "conflicting-declarations": ("Two decorators give one function two values for a setting.", "Keep one."),
    "duplicate-cron": ("Two crons of a function have one name.", "Rename one."),
    "duplicate-domain": ("A hostname is named twice; it belongs to one function.", "Remove one."),
    "duplicate-name": ("Two functions have one name.", "Give one of them another, with name=."),
    "duplicate-trigger": ("Two triggers of a function have one name.", "Rename one."),
    "handler-async": (
        "The platform calls a Python handler as a plain function, and an async one or a generator gives no answer.",
        "Write def; where it must wait, asyncio.run(...) inside.",
    ),
    "handler-missing": ("The file or function that a handler names is not there.", "Correct the handler or path."),
    "handler-signature": (
        "The platform calls a handler with two arguments, and this one cannot take them.",
        "Write def handler(event, context).",
    ),
    "reserved-tag": ("Tags that start with fnkit are fnkit's own.", "Choose another word."),
    "reserved-variable": ("The platform sets this variable itself.", "Choose another name."),
    "runtime-language": ("A Python handler has a runtime of another language.", "Use a Python runtime."),
    "runtime-retired": (
        "The runtime is past its end of support or of life, and takes no new functions.",
        "Use a newer one of the same language.",
    ),
    "runtime-unavailable": ("The platform does not have this runtime.", "Use one that it has."),
    "too-many-domains": ("A function has more custom domains than the platform allows.", "Keep at most 50."),
    "too-many-variables": (
        "A function and its namespace have more variables, or secrets, than the platform allows.",
        "Keep at most 100 of each.",
    ),
    "unknown-runtime": ("There is no such runtime.", "Use one of those named."),
    "variable-name": ("This cannot be an environment variable's name.", "Letters, digits, underscores."),
    "variable-too-long": (
        "A variable has more characters than the platform allows.",
        "Keep it to 1,000, ship a file, or make it a secret, which may have 65,536 bytes.",
    ),
    "variable-twice": ("One name is both a variable and a secret.", "Keep one."),
    "variable-value": ("A variable's value holds a null character.", "Remove it; encode binary data as base64."),
}

_NEEDS: Final = {
    "bad-dotenv": ("A .env file cannot be read.", "Correct the line: NAME=value, quoted where needed."),
    "bad-requirement": ("A requirement cannot be read.", "Write a name with versions, as in requests>=2.32."),
    "missing-secret": (
        "A secret that the project declares has no value on this machine.",
        "Set it in the environment, in .env.<stage> or in .env; keep those files out of version control.",
    ),
    "requirement-option": (
        "A requirements file has an option that fnkit does not follow.",
        "The hint names the place for it.",
    ),
    "requirement-place": (
        "A requirement names a path or a URL, and bundles are made of packages of an index.",
        "Name a package, or put its code into the project's folder.",
    ),
    "secret-too-long": ("A secret's value is larger than the platform allows.", "Keep it to 65,536 bytes."),
}

PROBLEMS: Final[Mapping[str, Explanation]] = MappingProxyType(
    {
        code: Explanation(*texts)
        for code, texts in sorted({**_SCANNING, **_SETTINGS, **_FUNCTIONS, **_NEEDS}.items())
    }
)
"""Code → what it means and what to do, sorted by code."""
