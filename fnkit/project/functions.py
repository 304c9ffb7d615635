"""One declared function → its ``FunctionSpec``, checked."""

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
from fnkit.project.quantities import checked_memory, checked_scale, checked_timeout, checked_words
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
    """What all functions of a project have in common while they are made."""

    root: Path
    settings: Settings
    namespace: NamespaceSpec
    default_runtime: str
    available: frozenset[str]
    findings: Findings

    def make(self, draft: Draft, given: FunctionDeclaration) -> FunctionSpec:
        """Check one function and fill in what was not given.

        Args:
            draft: where it comes from, with its crons and triggers.
            given: everything that was said of it, defaults and overrides included.
        """
        source, findings = draft.source, self.findings
        self._check_name(draft)
        runtime, language = self._runtime(draft, given)
        handler = self._handler(draft, runtime, language)
        check_signature(draft, findings)
        memory, low, high, timeout, words = self.judge(given, draft.name, source)
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
            privacy=words[0],
            http_option=words[1],
            sandbox=words[2],
            description=draft.summary if given.description is None else given.description,
            env=dict(env),
            secrets=tuple(dict.fromkeys(secrets)),
            tags=tuple(dict.fromkeys(given.tags or ())),
            domains=tuple(dict.fromkeys(given.domains or ())),
            private_network_id=given.private_network_id or "",
            crons=cron_specs(draft.crons, draft.name, findings),
            triggers=trigger_specs(draft.triggers, draft.name, findings),
            slice=given.slice is not False,
            preload=given.preload is not False,
            root=draft.root,
        )

    def judge(
        self, given: FunctionDeclaration, subject: str, source: Source
    ) -> tuple[int, int, int, int, tuple[str, str, str]]:
        """Check the settings that stand for themselves; memory, scales, timeout and words, with defaults."""
        findings = self.findings
        memory = checked_memory(given.memory, subject, source, findings)
        low, high = checked_scale(given, subject, source, findings)
        timeout = checked_timeout(given.timeout, subject, source, findings)
        words = checked_words(given, subject, source, findings)
        check_environment(given.env or {}, given.secrets or (), subject, source, findings)
        check_tags(given.tags or (), subject, source, findings)
        check_domains(given.domains or (), subject, source, findings)
        network = given.private_network_id
        if network and not _UUID.fullmatch(network):
            message = f"{subject}: {network[:80]!r} is not a private network's id (a UUID)."
            findings.add("bad-private-network", message, None, source)
        return memory, low, high, timeout, words

    def _check_name(self, draft: Draft) -> None:
        fault = function_name_fault(draft.name)
        if fault is not None:
            hint = "Lower-case letters, digits and dashes, at most 34, no dash at the ends; or give name=."
            message = f"{draft.name[:80]!r} cannot be a function's name."
            self.findings.add("bad-name", message, hint, draft.source)

    def _runtime(self, draft: Draft, given: FunctionDeclaration) -> tuple[str, str]:
        """The runtime and its language; an unknown one counts as Python in code, as nothing in settings."""
        name = given.runtime
        if name is None and draft.index is not None:
            hint = f"Name one, such as {min(self.available, default='node24')}."
            self.findings.add("setting-missing", f"{draft.name} has no runtime.", hint, draft.source)
            return "", ""
        runtime = self.default_runtime if name is None else name
        if not check_runtime(runtime, self.available, draft.source, self.findings):
            return runtime, ""
        row = find_runtime(runtime)
        language = row.language if row else _language(runtime)
        if draft.index is None and language != "Python":
            message = f"{draft.name} is a Python handler, and its runtime {runtime} is not one for Python."
            self.findings.add("runtime-language", message, f"Use {self.default_runtime}.", draft.source)
        return runtime, language

    def _handler(self, draft: Draft, runtime: str, language: str) -> str:
        row = find_runtime(runtime)
        handler = draft.handler if draft.handler is not None else (row.default_handler if row else "")
        if draft.index is None or not language:
            return handler
        if language == "Python" and draft.root != ".":
            message = f"{draft.name} is a Python function, so its path is the whole project."
            hint = "Leave path out, and name the file in handler: handlers/hello.say."
            self.findings.add("bad-path", message, hint, draft.source)
        else:
            check_handler_file(self.root, draft, handler, language, self.findings)
        return handler


def settled(table: FunctionDefaults, path: KeyPath, subject: str, maker: FunctionMaker) -> FunctionDeclaration:
    """What a table of settings gives, each value judged where it stands and left out when it is at fault.

    So a wrong default is told once, with its own line, and not once more for every function.
    """
    given = given_by(table)
    good: dict[str, object] = {}
    for field in fields(FunctionDeclaration):
        value = getattr(given, field.name)
        if value is None:
            continue
        before = len(maker.findings.problems)
        source = Source(maker.settings.file, maker.settings.lines.line(*path, field.name))
        one = FunctionDeclaration(**{field.name: value})
        maker.judge(one, subject, source)
        if len(maker.findings.problems) == before:
            good[field.name] = value
    return FunctionDeclaration(**good)  # type: ignore[arg-type]  # each value comes from the field of its name


def _language(runtime: str) -> str:
    """The language of a runtime that the platform has and the table does not know yet, by its name."""
    prefixes = {"python": "Python", "node": "Node", "php": "PHP", "go": "Go", "rust": "Rust"}
    return next((language for prefix, language in prefixes.items() if runtime.startswith(prefix)), "")
