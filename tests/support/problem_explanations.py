"""Explanations of project problems by code: what they mean and what to do, for ``docs/errors.md``.

A test verifies that every code that the scanner and the project raise is explained.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["PROBLEMS", "Explanation"]


class Explanation(NamedTuple):
    """The meaning of a problem and its remedy, one or two sentences each."""

    meaning: str
    remedy: str


_SCAN_PROBLEMS: Final = {
    "bad-argument": (
        "A decorator's argument has the wrong type.",
        "Use the type that the message states; docs/settings.md lists the types of all settings.",
    ),
    "computed-argument": (
        "A decorator's argument is not constant, so its value is not known without executing the module.",
        "Use a constant expression of literals, arithmetic, f-strings and names of the module; or use --import.",
    ),
    "decorator-called": (
        "A decorator of fnkit is called or passed as a value instead of being applied to a def with @.",
        "Write it as a decorator, or use --import.",
    ),
    "file-unreadable": ("A file of the project cannot be read.", "Check its permissions, or exclude it."),
    "fnkit-not-bundled": (
        "A handler imports, directly or indirectly, a part of fnkit that bundles do not contain.",
        "Handlers can use fnkit, fnkit.authoring and fnkit.errors; move other uses to modules they do not import.",
    ),
    "handler-conditional": (
        "A handler is declared inside an if, a loop, a try or a with, so it may or may not exist.",
        "Move it to the module's top level, or use --import.",
    ),
    "decorator-not-imported": (
        "A decorator of fnkit is used, but its name is not defined there, so the module cannot be imported.",
        "Import the decorator from fnkit.",
    ),
    "url-of-not-imported": (
        "url_of is called, but its name is not defined there, so the module cannot be imported.",
        "Import url_of from fnkit.",
    ),
    "bad-url-of": (
        "url_of is called with something else than the name of a function.",
        'Write url_of("health"), with the name of a function of the project.',
    ),
    "handler-nested": (
        "A handler is declared inside a class or a function, where the platform cannot reach it.",
        "Move it to the module's top level.",
    ),
    "handler-path": (
        "The name of a handler's file or folder contains a dot, but a handler string has exactly one dot.",
        "Rename the file or folder.",
    ),
    "handler-shadowed": (
        "The platform imports a handler's module by its bare name, and would import another module of that name.",
        "Rename the file.",
    ),
    "import-failed": (
        "With --import, the module raised an exception or ended its process while it was imported.",
        "Make the module importable on this machine: install its dependencies, and set its environment variables.",
    ),
    "import-timeout": (
        "With --import, importing the module exceeded the time limit and was stopped.",
        "Avoid long-running work at the module's top level.",
    ),
    "positional-argument": ("A setting was passed by position.", "Pass it by name, as in memory=256."),
    "relative-import": (
        "A module with handlers uses a relative import, which fails in a module imported by its bare name.",
        "Import from the project folder: from handlers import shared.",
    ),
    "syntax-error": ("A file that imports fnkit is not valid Python.", "Correct the line."),
    "syntax-newer-than-host": (
        "A file cannot be parsed by the Python that runs fnkit, which is older than the function's runtime.",
        "Run fnkit with the runtime's Python, or use only syntax that the older one supports.",
    ),
    "unknown-argument": ("A decorator has no argument of this name.", "Compare with docs/settings.md."),
}
_SETTINGS_PROBLEMS: Final = {
    "bad-include": (
        "The setting include names something that cannot be included under its name.",
        "Name existing directories of the repository, each with a name of its own (docs/settings.md#include).",
    ),
    "bad-package-name": (
        "source_builds contains something that is not the name of a package.",
        "List the packages to build one by one.",
    ),
    "bad-project-name": (
        "The project's name is not valid in a tag, and tags mark the resources that belong to the project.",
        "Use 1 to 50 letters, digits and any of . _ -",
    ),
    "bad-region": ("The region does not exist.", "Use fr-par, nl-ams or pl-waw."),
    "bad-stage": (
        "A stage's name becomes part of a namespace name, and this one is not valid there.",
        "Use 1 to 16 lower-case letters, digits and dashes, starting with a letter or digit.",
    ),
    "include-outside": (
        "The setting include names a directory that is not in the git repository of the project, or there is none.",
        "Include directories of the same repository only, or copy the code into the project's folder.",
    ),
    "no-settings": (
        "The folder contains neither fnkit.toml nor a pyproject.toml with [tool.fnkit].",
        "Change to the project folder, make this one a project with `fnkit init`, or create one with `fnkit new`.",
    ),
    "setting-missing": ("A required setting is missing.", "Add it."),
    "setting-type": ("A setting has a value of the wrong type.", "Compare with docs/settings.md."),
    "settings-twice": (
        "Both fnkit.toml and pyproject.toml contain settings.",
        "Keep one of them.",
    ),
    "shared-namespace": (
        "The project sets properties of a shared namespace, which fnkit never changes.",
        "Set them on the functions, under defaults, or remove shared if the namespace belongs to this project.",
    ),
    "toml-syntax": ("The settings are not valid TOML.", "Correct the line."),
    "unknown-function": (
        "A stage has settings for a function that does not exist, or a variable is the URL of one.",
        "Correct the name.",
    ),
    "unknown-setting": ("The setting does not exist.", "Correct the name; docs/settings.md lists all settings."),
}
_FUNCTION_PROBLEMS: Final = {
    "bad-build": (
        "A function has build_inputs or build_output without a build, or its build is not a command.",
        "Set build to the command that makes the files, or remove the other settings.",
    ),
    "bad-choice": (
        "A setting has a value that it does not accept.",
        "Use one of the values that the message lists.",
    ),
    "bad-cron-args": (
        "A cron's args cannot be represented as JSON, or exceed the size limit of a request.",
        "Use strings, numbers, lists and tables, up to 6 MiB.",
    ),
    "bad-domain": (
        "A custom domain is not a hostname.",
        "Write it as shop.example.com, without scheme or port.",
    ),
    "bad-handler": ("A handler string has the wrong format for its language.", "Compare with docs/handlers.md."),
    "bad-memory": (
        "The memory is not one of the tiers.",
        "Use 128, 256, 512, 1024, 2048, 3072 or 4096 MB.",
    ),
    "bad-name": (
        "The platform does not accept this name.",
        "Functions: at most 34 lower-case letters, digits and dashes. Triggers: 1 to 50 letters, digits, dashes.",
    ),
    "bad-path": (
        "A function's folder is outside the project.",
        "Use a path relative to the settings file, with /.",
    ),
    "bad-private-network": ("The value is not the ID of a private network.", "Use its UUID."),
    "bad-scale": (
        "A scale is out of range, or min_scale is above max_scale.",
        "Use 0 to 50 for min_scale and 1 to 50 for max_scale.",
    ),
    "bad-schedule": (
        "A schedule does not consist of five valid UNIX cron fields.",
        "Minute, hour, day of month, month, day of week; operators * - , /; names JAN-DEC and SUN-SAT; in UTC.",
    ),
    "bad-tag": ("A tag has invalid characters or an invalid length.", "Use 1 to 64 letters, digits and = . _ -"),
    "bad-timeout": (
        "A timeout is not a duration, or out of range.",
        'Use 10 s to 1 h, written as 30, "30s" or "5m".',
    ),
    "bad-trigger": (
        "A trigger does not have exactly one valid subject or queue, or has a field of the other kind.",
        "Set nats= to a subject, or sqs= to the name of a queue.",
    ),
    "conflicting-declarations": ("Two decorators give a function different values for a setting.", "Keep one."),
    "duplicate-cron": ("Two crons of a function have the same name.", "Rename one."),
    "duplicate-domain": ("A hostname is listed twice, but can belong to only one function.", "Remove one."),
    "duplicate-name": ("Two functions have the same name.", "Rename one, with name=."),
    "duplicate-trigger": ("Two triggers of a function have the same name.", "Rename one."),
    "handler-generator": (
        "A handler is a generator, but the platform needs its response whole.",
        "Return the response instead, for example as a string of the joined parts.",
    ),
    "handler-missing": (
        "The file or function of a handler does not exist.",
        "Correct the handler or path.",
    ),
    "handler-signature": (
        "A parameter of the handler is neither the event or the context, nor a part of a request.",
        "Write def handler(event, context), or give each parameter a type (docs/typed-handlers.md).",
    ),
    "reserved-tag": ("Tags that start with fnkit are reserved.", "Choose another tag."),
    "reserved-variable": ("The platform sets this variable itself.", "Choose another name."),
    "groups-language": (
        "A function in another language names dependency groups, which only Python functions have.",
        "Remove groups; its dependencies are those that its own package manager installs.",
    ),
    "runtime-language": ("A Python handler has a runtime of another language.", "Use a Python runtime."),
    "runtime-too-old": (
        "A typed or asynchronous handler, or an application, has a runtime older than Python 3.11.",
        "Use a newer runtime, or a plain handler.",
    ),
    "runtime-retired": (
        "The runtime has reached its end of support or end of life, so no new functions can use it.",
        "Use a newer runtime of the same language.",
    ),
    "runtime-unavailable": ("The platform does not have this runtime.", "Use a runtime that it has."),
    "too-many-domains": ("A function has more custom domains than the platform allows.", "Use at most 50."),
    "too-many-variables": (
        "A function and its namespace have more variables, or secrets, than the platform allows.",
        "Use at most 200 of each.",
    ),
    "unknown-runtime": ("The runtime does not exist.", "Use one of the runtimes that the message lists."),
    "variable-name": ("The name is not valid for an environment variable.", "Use letters, digits and underscores."),
    "variable-too-long": (
        "A variable has more characters than the platform allows.",
        "Use at most 65,536, or put the value into a file.",
    ),
    "variable-twice": ("A name is used for both a variable and a secret.", "Keep one."),
    "variable-value": ("A variable's value contains a null character.", "Remove it; encode binary data as base64."),
}
_DEPENDENCY_AND_SECRET_PROBLEMS: Final = {
    "bad-dotenv": ("A .env file cannot be read.", "Correct the line: NAME=value, quoted where necessary."),
    "bad-requirement": ("A requirement cannot be parsed.", "Use a name with versions, as in requests>=2.32."),
    "dependency-group": (
        "A dependency group that functions or their tests use is not valid (PEP 735), or includes itself.",
        'Write it as in PEP 735: aws = ["boto3>=1.40"] in [dependency-groups] of pyproject.toml.',
    ),
    "unknown-group": (
        "A function names a dependency group that pyproject.toml does not have.",
        "Correct the name, or add the group to [dependency-groups].",
    ),
    "missing-secret": (
        "A secret that the project declares has no value on this machine.",
        "Set it in the environment, in .env.<stage> or in .env; keep those files out of version control.",
    ),
    "requirement-option": (
        "A requirements file contains an option that fnkit does not support.",
        "The hint states the alternative.",
    ),
    "requirement-place": (
        "A package is taken from a path or a URL, but bundles contain only packages from an index.",
        "Use a package from an index, name the directory in include, or put the code into the project folder.",
    ),
    "secret-too-long": ("A secret's value is larger than the platform allows.", "Use at most 65,536 bytes."),
}
PROBLEMS: Final = {
    code: Explanation(*texts)
    for code, texts in {
        **_SCAN_PROBLEMS,
        **_SETTINGS_PROBLEMS,
        **_FUNCTION_PROBLEMS,
        **_DEPENDENCY_AND_SECRET_PROBLEMS,
    }.items()
}
"""Explanations by code."""
