"""Who sends a request: an API key and what it may do."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.platform.control.refusals import permissions_denied

__all__ = ["Caller"]


@dataclass(frozen=True, slots=True)
class Caller:
    """A known key.

    is_owner: the platform's own key, the one that may make others. project_id: the one project that this key
    sees and touches, or ``None`` for all.
    """

    is_owner: bool = False
    read_only: bool = False
    project_id: str | None = None

    def require_write(self, resource: str) -> None:
        """Refuse a key that may only read."""
        if self.read_only:
            raise permissions_denied("write", resource)

    def require_whole(self, action: str, resource: str) -> None:
        """Refuse a key that is bound to a project, for what belongs to none; and to write, one that only reads."""
        if self.project_id is not None or (action == "write" and self.read_only):
            raise permissions_denied(action, resource)

    def require_owner(self, action: str, resource: str) -> None:
        """Refuse every key but the platform's own."""
        if not self.is_owner:
            raise permissions_denied(action, resource)
