"""The resources that a key which is bound to a project has access to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from fnkit.platform.control.callers import Principal
from fnkit.platform.control.refusals import permissions_denied
from fnkit.platform.store.database import Store

__all__ = ["AccessScope", "resource_name"]

T = TypeVar("T")

_NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"
_FUNCTION_SCOPED_KINDS: Final = frozenset({"crons", "domains"})
"""Kinds that are listed by function only. Other kinds have a project of their own to filter by."""
_IRREGULAR_NAMES: Final = {"functions": "functions", "issue-jwt": "function_tokens"}


def resource_name(kind: str) -> str:
    """Return the name of a kind of resource in error responses, given its name in paths.

    >>> resource_name("crons"), resource_name("functions")
    ('function_crons', 'functions')
    """
    return _IRREGULAR_NAMES.get(kind, f"function_{kind}")


class AccessScope:
    """The resources that a principal has access to: all, or those of one project."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store = store
        self._project_id = principal.project_id

    def can_see(self, kind: str, record_id: str) -> bool:
        """Return whether the principal has access to a resource. A bound key has none to what does not exist."""
        return self._project_id is None or self._project_of(kind, record_id) == self._project_id

    def narrow_query(self, kind: str, query: Mapping[str, str]) -> Mapping[str, str]:
        """Return the query of a list with filters that restrict it to the accessible resources."""
        if self._project_id is None:
            return query
        if kind in _FUNCTION_SCOPED_KINDS:
            function_id = query.get("function_id", "")
            is_accessible = not function_id or self.can_see("functions", function_id)
            return query if is_accessible else {**query, "function_id": _NIL_UUID}
        project_id = query.get("project_id") or self._project_id
        return {**query, "project_id": project_id if project_id == self._project_id else _NIL_UUID}

    def narrow_body(self, body: T) -> T:
        """Return a request's body with references to inaccessible resources replaced by the nil UUID.

        Raises:
            ControlError: 403, the body names another project. This reveals nothing: the client chose the project.
        """
        if self._project_id is None or not isinstance(body, msgspec.Struct):
            return body
        project = getattr(body, "project_id", None)
        if project and project.lower() != self._project_id:
            raise permissions_denied("write", resource_name("namespaces"))
        hidden = {}
        for field, kind in (("function_id", "functions"), ("namespace_id", "namespaces")):
            record_id = getattr(body, field, None)
            if record_id and not self.can_see(kind, record_id.lower()):
                hidden[field] = _NIL_UUID
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
