"""Validates a declared function and builds its ``FunctionSpec``."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from fnkit.authoring.declarations import FunctionDeclaration
from fnkit.contract.names import function_name_error
from fnkit.contract.runtimes import find_runtime
from fnkit.project.domains import check_domains
from fnkit.project.drafts import DeclaredFunction, explicit_settings
from fnkit.project.findings import ProblemList
from fnkit.project.handlers import check_handler_file, check_signature
from fnkit.project.model import FunctionSpec, NamespaceSpec, SourceLocation
from fnkit.project.quantities import (
    EnumeratedSettings,
    validate_memory,
    validate_scale,
    validate_timeout,
    validate_choices,
)
from fnkit.project.runtimes import check_runtime
from fnkit.project.schedules import build_crons
from fnkit.project.settings import FunctionDefaults, Settings
from fnkit.project.toml_lines import KeyPath
from fnkit.project.triggers import build_triggers
from fnkit.project.variables import check_environment, check_tags, check_variable_counts

__all__ = ["FunctionBuilder", "validated_settings"]

_UUID_RULE: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionBuilder:
    """Builds the functions of one project.

    Attributes:
        root: The project folder.
        default_runtime: The runtime of decorated handlers that name none.
        available: Names of the runtimes that the platform creates functions for.
        problems: Receives the problems.
    """

    root: Path
    settings: Settings
    namespace: NamespaceSpec
    default_runtime: str
    available: frozenset[str]
    problems: ProblemList

    def build(self, function: DeclaredFunction, declaration: FunctionDeclaration) -> FunctionSpec:
        """Validate a function and fill in the platform's defaults.

        Args:
            function: The declared function, with its crons and triggers.
            declaration: Its settings, merged with the project's and the stage's.
        """
        source, findings = function.source, self.problems
        self._check_name(function)
        runtime, language = self._select_runtime(function, declaration)
        handler = self._select_handler(function, runtime, language)
        check_signature(function, findings)
        memory, low, high, timeout, choices = self.validate(declaration, function.name, source)
        env, secrets = declaration.env or {}, declaration.secrets or ()
        check_variable_counts(
            env,
            secrets,
            (self.namespace.env, self.namespace.secrets),
            subject=function.name,
            source=source,
            problems=findings,
        )
        return FunctionSpec(
            name=function.name,
            runtime=runtime,
            handler=handler,
            source=source,
            memory=memory,
            min_scale=low,
            max_scale=high,
            timeout=timeout,
            privacy=choices.privacy,
            http_option=choices.http_option,
            sandbox=choices.sandbox,
            description=function.summary if declaration.description is None else declaration.description,
            env=dict(env),
            secrets=tuple(dict.fromkeys(secrets)),
            tags=tuple(dict.fromkeys(declaration.tags or ())),
            domains=tuple(dict.fromkeys(declaration.domains or ())),
            private_network_id=declaration.private_network_id or "",
            crons=build_crons(function.crons, function.name, findings),
            triggers=build_triggers(function.triggers, function.name, findings),
            change_detection=choices.change_detection,
            preload=declaration.preload is not False,
            root=function.root,
        )

    def validate(
        self, declaration: FunctionDeclaration, subject: str, source: SourceLocation
    ) -> tuple[int, int, int, int, EnumeratedSettings]:
        """Validate the settings that can be checked without the rest of the project.

        Args:
            declaration: The settings; ``None`` is valid and becomes the default.
            subject: Start of each message: a function's name, or a description of the table.
            source: Location for the problems.

        Returns:
            Memory in MB, minimum scale, maximum scale, timeout in nanoseconds, and the enumerated settings.
        """
        findings = self.problems
        memory = validate_memory(declaration.memory, subject, source, findings)
        low, high = validate_scale(declaration, subject, source, findings)
        timeout = validate_timeout(declaration.timeout, subject, source, findings)
        choices = validate_choices(declaration, subject, source, findings)
        check_environment(declaration.env or {}, declaration.secrets or (), subject, source, findings)
        check_tags(declaration.tags or (), subject, source, findings)
        check_domains(declaration.domains or (), subject, source, findings)
        network = declaration.private_network_id
        if network and not _UUID_RULE.fullmatch(network):
            message = f"{subject}: {network[:80]!r} is not the ID of a private network (a UUID)."
            findings.add("bad-private-network", message, None, source)
        return memory, low, high, timeout, choices

    def _check_name(self, function: DeclaredFunction) -> None:
        error = function_name_error(function.name)
        if error is not None:
            hint = "Use at most 34 lower-case letters, digits and dashes, no dash at the ends; or set name=."
            message = f"{function.name[:80]!r} is not a valid function name."
            self.problems.add("bad-name", message, hint, function.source)

    def _select_runtime(self, function: DeclaredFunction, declaration: FunctionDeclaration) -> tuple[str, str]:
        """Return the runtime of a function and its language.

        The language is ``""`` for an unknown runtime, whose handler cannot be checked.
        """
        name = declaration.runtime
        if name is None and function.table_index is not None:
            hint = f"Set one, such as {min(self.available, default='node24')}."
            self.problems.add("setting-missing", f"{function.name} has no runtime.", hint, function.source)
            return "", ""
        runtime = self.default_runtime if name is None else name
        if not check_runtime(runtime, self.available, function.source, self.problems):
            return runtime, ""
        row = find_runtime(runtime)
        language = row.language if row else _language_of(runtime)
        if function.table_index is None and language != "Python":
            message = f"{function.name} is a Python handler, but its runtime {runtime} is not a Python runtime."
            self.problems.add("runtime-language", message, f"Use {self.default_runtime}.", function.source)
        return runtime, language

    def _select_handler(self, function: DeclaredFunction, runtime: str, language: str) -> str:
        row = find_runtime(runtime)
        handler = function.handler if function.handler is not None else (row.default_handler if row else "")
        if function.table_index is None or not language:
            return handler
        if language == "Python" and function.root != ".":
            message = f"{function.name} is a Python function, so its path must be the whole project."
            hint = "Remove path, and put the file's path into handler, as in handlers/hello.say."
            self.problems.add("bad-path", message, hint, function.source)
        else:
            check_handler_file(self.root, function, handler, language, self.problems)
        return handler


def validated_settings(
    table: FunctionDefaults, path: KeyPath, subject: str, builder: FunctionBuilder
) -> FunctionDeclaration:
    """Return the valid settings of a table; invalid ones are reported and left out.

    A wrong default is thereby reported once, with its line, and not again for every function.

    Args:
        table: The table.
        path: Its path in the settings, for line numbers.
        subject: Start of each message.
        builder: Validates the values and receives the problems.
    """
    given = explicit_settings(table)
    valid: dict[str, object] = {}
    for field in fields(FunctionDeclaration):
        value = getattr(given, field.name)
        if value is None:
            continue
        before = len(builder.problems.collected)
        source = SourceLocation(builder.settings.file, builder.settings.lines.line(*path, field.name))
        one = FunctionDeclaration(**{field.name: value})
        builder.validate(one, subject, source)
        if len(builder.problems.collected) == before:
            valid[field.name] = value
    return FunctionDeclaration(**valid)  # type: ignore[arg-type]  # each value comes from the field of its name


def _language_of(runtime: str) -> str:
    """Return the language of a runtime that the platform has but the recorded table lacks, by its name."""
    prefixes = {"python": "Python", "node": "Node", "php": "PHP", "go": "Go", "rust": "Rust"}
    return next((language for prefix, language in prefixes.items() if runtime.startswith(prefix)), "")
