"""Validates a declared function and builds its ``FunctionSpec``."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from fnkit.authoring.declarations import FunctionDeclaration
from fnkit.contract.names import function_name_fault
from fnkit.contract.runtimes import find_runtime
from fnkit.project.domains import check_domains
from fnkit.project.drafts import Draft, given_by
from fnkit.project.findings import Findings
from fnkit.project.handlers import check_handler_file, check_signature
from fnkit.project.model import FunctionSpec, NamespaceSpec, Source
from fnkit.project.quantities import Choices, checked_memory, checked_scale, checked_timeout, checked_words
from fnkit.project.runtimes import check_runtime
from fnkit.project.schedules import cron_specs
from fnkit.project.settings import FunctionDefaults, Settings
from fnkit.project.toml_lines import KeyPath
from fnkit.project.triggers import trigger_specs
from fnkit.project.variables import check_environment, check_tags, check_variable_counts

__all__ = ["FunctionMaker", "settled"]

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionMaker:
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
    findings: Findings

    def make(self, draft: Draft, given: FunctionDeclaration) -> FunctionSpec:
        """Validate a function and fill in the platform's defaults.

        Args:
            function: The declared function, with its crons and triggers.
            declaration: Its settings, merged with the project's and the stage's.
        """
        source, findings = draft.source, self.findings
        self._check_name(draft)
        runtime, language = self._runtime(draft, given)
        handler = self._handler(draft, runtime, language)
        check_signature(draft, findings)
        memory, low, high, timeout, choices = self.judge(given, draft.name, source)
        env, secrets = given.env or {}, given.secrets or ()
        check_variable_counts(
            env,
            secrets,
            (self.namespace.env, self.namespace.secrets),
            subject=draft.name,
            source=source,
            findings=findings,
        )
        return FunctionSpec(
            name=draft.name,
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
            description=draft.summary if given.description is None else given.description,
            env=dict(env),
            secrets=tuple(dict.fromkeys(secrets)),
            tags=tuple(dict.fromkeys(given.tags or ())),
            domains=tuple(dict.fromkeys(given.domains or ())),
            private_network_id=given.private_network_id or "",
            crons=cron_specs(draft.crons, draft.name, findings),
            triggers=trigger_specs(draft.triggers, draft.name, findings),
            change_detection=choices.change_detection,
            preload=given.preload is not False,
            root=draft.root,
        )

    def judge(self, given: FunctionDeclaration, subject: str, source: Source) -> tuple[int, int, int, int, Choices]:
        """Validate the settings that can be checked without the rest of the project.

        Args:
            declaration: The settings; ``None`` is valid and becomes the default.
            subject: Start of each message: a function's name, or a description of the table.
            source: Location for the problems.

        Returns:
            Memory in MB, minimum scale, maximum scale, timeout in nanoseconds, and the enumerated settings.
        """
        findings = self.findings
        memory = checked_memory(given.memory, subject, source, findings)
        low, high = checked_scale(given, subject, source, findings)
        timeout = checked_timeout(given.timeout, subject, source, findings)
        choices = checked_words(given, subject, source, findings)
        check_environment(given.env or {}, given.secrets or (), subject, source, findings)
        check_tags(given.tags or (), subject, source, findings)
        check_domains(given.domains or (), subject, source, findings)
        network = given.private_network_id
        if network and not _UUID.fullmatch(network):
            message = f"{subject}: {network[:80]!r} is not the ID of a private network (a UUID)."
            findings.add("bad-private-network", message, None, source)
        return memory, low, high, timeout, choices

    def _check_name(self, draft: Draft) -> None:
        error = function_name_fault(draft.name)
        if error is not None:
            hint = "Use at most 34 lower-case letters, digits and dashes, no dash at the ends; or set name=."
            message = f"{draft.name[:80]!r} is not a valid function name."
            self.findings.add("bad-name", message, hint, draft.source)

    def _runtime(self, draft: Draft, given: FunctionDeclaration) -> tuple[str, str]:
        """Return the runtime of a function and its language.

        The language is ``""`` for an unknown runtime, whose handler cannot be checked.
        """
        name = given.runtime
        if name is None and draft.index is not None:
            hint = f"Set one, such as {min(self.available, default='node24')}."
            self.findings.add("setting-missing", f"{draft.name} has no runtime.", hint, draft.source)
            return "", ""
        runtime = self.default_runtime if name is None else name
        if not check_runtime(runtime, self.available, draft.source, self.findings):
            return runtime, ""
        row = find_runtime(runtime)
        language = row.language if row else _language(runtime)
        if draft.index is None and language != "Python":
            message = f"{draft.name} is a Python handler, but its runtime {runtime} is not a Python runtime."
            self.findings.add("runtime-language", message, f"Use {self.default_runtime}.", draft.source)
        return runtime, language

    def _handler(self, draft: Draft, runtime: str, language: str) -> str:
        row = find_runtime(runtime)
        handler = draft.handler if draft.handler is not None else (row.default_handler if row else "")
        if draft.index is None or not language:
            return handler
        if language == "Python" and draft.root != ".":
            message = f"{draft.name} is a Python function, so its path must be the whole project."
            hint = "Remove path, and put the file's path into handler, as in handlers/hello.say."
            self.findings.add("bad-path", message, hint, draft.source)
        else:
            check_handler_file(self.root, draft, handler, language, self.findings)
        return handler


def settled(table: FunctionDefaults, path: KeyPath, subject: str, maker: FunctionMaker) -> FunctionDeclaration:
    """Return the valid settings of a table; invalid ones are reported and left out.

    A wrong default is thereby reported once, with its line, and not again for every function.

    Args:
        table: The table.
        path: Its path in the settings, for line numbers.
        subject: Start of each message.
        builder: Validates the values and receives the problems.
    """
    given = given_by(table)
    valid: dict[str, object] = {}
    for field in fields(FunctionDeclaration):
        value = getattr(given, field.name)
        if value is None:
            continue
        before = len(maker.findings.problems)
        source = Source(maker.settings.file, maker.settings.lines.line(*path, field.name))
        one = FunctionDeclaration(**{field.name: value})
        maker.judge(one, subject, source)
        if len(maker.findings.problems) == before:
            valid[field.name] = value
    return FunctionDeclaration(**valid)  # type: ignore[arg-type]  # each value comes from the field of its name


def _language(runtime: str) -> str:
    """Return the language of a runtime that the platform has but the recorded table lacks, by its name."""
    prefixes = {"python": "Python", "node": "Node", "php": "PHP", "go": "Go", "rust": "Rust"}
    return next((language for prefix, language in prefixes.items() if runtime.startswith(prefix)), "")
