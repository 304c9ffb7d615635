"""What a key that is bound to a project sees: other projects' resources are not there for it.

What a request names of others is turned into what is nowhere, before any operation looks at it. So such a key
learns nothing from an answer, not even whether an id exists, and no operation needs to know about keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from fnkit.platform.control.callers import Caller
from fnkit.platform.control.refusals import permissions_denied
from fnkit.platform.store.database import Store

__all__ = ["Visibility", "resource_name"]

T = TypeVar("T")

_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_OF_A_FUNCTION: Final = frozenset({"crons", "domains"})
"""What is listed by its function alone; the others know their project."""
_NAMED_OTHERWISE: Final = {"functions": "functions", "issue-jwt": "function_tokens"}


def resource_name(kind: str) -> str:
    """Return a kind of resource as the API's refusals spell it; ``kind`` is the path's, as ``tokens``.

    >>> resource_name("crons"), resource_name("functions")
    ('function_crons', 'functions')
    """
    return _NAMED_OTHERWISE.get(kind, f"function_{kind}")


class Visibility:
    """One caller's sight."""

    def __init__(self, store: Store, caller: Caller) -> None:
        self._store = store
        self._project = caller.project_id

    def sees(self, kind: str, record_id: str) -> bool:
        """Whether the caller sees this resource; nobody sees what is not there."""
        return self._project is None or self._project_of(kind, record_id) == self._project

    def query(self, kind: str, query: Mapping[str, str]) -> Mapping[str, str]:
        """Return a list's query, narrowed to what is seen."""
        if self._project is None:
            return query
        if kind in _OF_A_FUNCTION:
            function_id = query.get("function_id", "")
            sees = not function_id or self.sees("functions", function_id)
            return query if sees else {**query, "function_id": _NOBODY}
        asked = query.get("project_id") or self._project
        return {**query, "project_id": asked if asked == self._project else _NOBODY}

    def body(self, body: T) -> T:
        """Return a request's body with what is not seen replaced.

        Raises:
            Refusal: 403 for something new in another project.
        """
        if self._project is None or not isinstance(body, msgspec.Struct):
            return body
        project = getattr(body, "project_id", None)
        if project and project.lower() != self._project:
            raise permissions_denied("write", resource_name("namespaces"))
        hidden = {}
        for field, kind in (("function_id", "functions"), ("namespace_id", "namespaces")):
            given = getattr(body, field, None)
            if given and not self.sees(kind, given.lower()):
                hidden[field] = _NOBODY
        return msgspec.structs.replace(body, **hidden) if hidden else body

    def _project_of(self, kind: str, record_id: str) -> str | None:
        store = self._store
        match kind:
            case "namespaces":
                namespace = store.namespaces.get(record_id)
                return namespace.project_id if namespace else None
            case "crons":
                cron = store.crons.get(record_id)
                return self._project_of("functions", cron.function_id) if cron else None
            case "domains":
                domain = store.domains.get(record_id)
                return self._project_of("functions", domain.function_id) if domain else None
            case "tokens":
                token = store.tokens.get(record_id)
                return token.project_id if token else None
            case "triggers":
                trigger = store.triggers.get(record_id)
                return trigger.project_id if trigger else None
            case _:
                function = store.functions.get(record_id)
                return function.project_id if function else None
