"""The principal of a request: an API key and its permissions."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.platform.control.refusals import permissions_denied

__all__ = ["Principal"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated API key.

    Attributes:
        is_root: Whether this is the platform's own key, the only one that can manage other keys.
        read_only: Whether every write is denied.
        project_id: The only project that the key can access, or ``None`` for all projects.
    """

    is_root: bool = False
    read_only: bool = False
    project_id: str | None = None

    def require_write(self, resource: str) -> None:
        """Require a key that may write.

        Args:
            resource: The kind of resource, as ``permissions_denied`` reports it.

        Raises:
            ControlError: 403, the key may only read.
        """
        if self.read_only:
            raise permissions_denied("write", resource)

    def require_unscoped(self, action: str, resource: str) -> None:
        """Require a key for all projects, and to write also one that may write.

        For operations on things that belong to no project, such as the clock.

        Args:
            action: ``read`` or ``write``.
            resource: The kind of resource, as ``permissions_denied`` reports it.

        Raises:
            ControlError: 403, the key is bound to a project or may only read.
        """
        if self.project_id is not None or (action == "write" and self.read_only):
            raise permissions_denied(action, resource)

    def require_root(self, action: str, resource: str) -> None:
        """Require the platform's own key.

        Args:
            action: ``read`` or ``write``.
            resource: The kind of resource, as ``permissions_denied`` reports it.

        Raises:
            ControlError: 403, this is an additional key.
        """
        if not self.is_root:
            raise permissions_denied(action, resource)
