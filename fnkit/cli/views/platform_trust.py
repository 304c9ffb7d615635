"""View of ``fnkit platform trust``: the local CA, whether the system trusts it, and how to trust it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.platform.server.trust_store import CaCertificate, TrustStore

__all__ = ["TrustView"]


@dataclass(frozen=True, slots=True)
class TrustView:
    """The local CA and its state in the system's trust store.

    Args:
        authority: The certificate of the CA.
        store: The system's trust store; ``None`` if none is supported.
        done: ``installed`` or ``removed`` if the command just did that, else empty.
        certificate_only: Whether the text is the PEM certificate alone.
    """

    authority: CaCertificate
    store: TrustStore | None
    completed_action: str = ""
    certificate_only: bool = False

    def to_json(self) -> dict[str, object]:
        """Return ``certificate, fingerprint, pem, store, trusted, install, remove``.

        ``trusted`` is null if it cannot be determined. ``install`` and ``remove`` are commands to run as root.
        """
        store = self.store
        return {
            "certificate": str(self.authority.file),
            "fingerprint": self.authority.fingerprint,
            "pem": self.authority.pem,
            "store": store.name if store is not None else "",
            "trusted": store.contains(self.authority) if store is not None else None,
            "install": [shlex.join(command) for command in store.install_commands] if store is not None else [],
            "remove": [shlex.join(command) for command in store.remove_commands] if store is not None else [],
        }

    def render(self, console: Console) -> None:
        """Print what was done, or the instructions."""
        if self.certificate_only:
            console.print(self.authority.pem.rstrip())
        elif self.completed_action == "installed":
            console.print(
                "Installed the CA certificate in the system's trust store. Restart running programs to use it."
            )
            console.print("Undo with: fnkit platform trust --remove")
        elif self.completed_action == "removed":
            console.print("Removed the CA certificate from the system's trust store.")
        else:
            self._render_instructions(console)

    def _render_instructions(self, console: Console) -> None:
        file = shlex.quote(str(self.authority.file))
        console.print(f"Certificate  {self.authority.file}")
        console.print(f"SHA-256      {self.authority.fingerprint}")
        if self.store is not None:
            self._render_trust_store(console, self.store)
        console.print("\nTo trust it in single programs:")
        console.print(f"  curl --cacert {file}", style="bold")
        console.print(f"  NODE_EXTRA_CA_CERTS={file}", style="bold", end="")
        console.print("   Node; in addition to its own CAs")
        console.print(f"  REQUESTS_CA_BUNDLE={file}", style="bold", end="")
        console.print("   Python's requests; replaces its CAs")
        console.print(f"  SSL_CERT_FILE={file}", style="bold", end="")
        console.print("   Go, Ruby, OpenSSL, Python's ssl; replaces their CAs")

    def _render_trust_store(self, console: Console, store: TrustStore) -> None:
        trusted = store.contains(self.authority)
        commands, verb = (
            (store.remove_commands, "remove it from") if trusted else (store.install_commands, "install it in")
        )
        if trusted is not None:
            console.print(f"Trusted      {'yes' if trusted else 'no'}, by {store.name}")
        console.print(f"\nTo {verb} the system's trust store:")
        for command in commands:
            console.print(f"  sudo {shlex.join(command)}", style="bold")
