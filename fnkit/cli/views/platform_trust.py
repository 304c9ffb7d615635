"""The platform's authority: where it is, whether this system trusts it, and what makes programs trust it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.platform.server.trust_store import Authority, TrustStore

__all__ = ["TrustView"]


@dataclass(frozen=True, slots=True)
class TrustView:
    """done: ``installed`` or ``removed`` where that was just done. certificate_only: as text, nothing but it."""

    authority: Authority
    store: TrustStore | None
    done: str = ""
    certificate_only: bool = False

    def to_json(self) -> dict[str, object]:
        """``trusted`` is null where that cannot be seen; ``install`` and ``remove`` are commands for root."""
        store = self.store
        return {
            "certificate": str(self.authority.file),
            "fingerprint": self.authority.fingerprint,
            "pem": self.authority.pem,
            "store": store.name if store is not None else "",
            "trusted": store.holds(self.authority) if store is not None else None,
            "install": [shlex.join(command) for command in store.installing] if store is not None else [],
            "remove": [shlex.join(command) for command in store.removing] if store is not None else [],
        }

    def render(self, console: Console) -> None:
        """What was done, or what to do."""
        if self.certificate_only:
            console.print(self.authority.pem.rstrip())
        elif self.done == "installed":
            console.print(
                "This system trusts the platform's authority now; programs that run must be started anew."
            )
            console.print("Take it back with: fnkit platform trust --remove")
        elif self.done == "removed":
            console.print("This system trusts the platform's authority no more.")
        else:
            self._explain(console)

    def _explain(self, console: Console) -> None:
        file = shlex.quote(str(self.authority.file))
        console.print(f"Certificate  {self.authority.file}")
        console.print(f"SHA-256      {self.authority.fingerprint}")
        if self.store is not None:
            self._explain_system(console, self.store)
        console.print("\nOne program at a time:")
        console.print(f"  curl --cacert {file}", style="bold")
        console.print(f"  NODE_EXTRA_CA_CERTS={file}", style="bold", end="")
        console.print("   Node; beside what it trusts anyway")
        console.print(f"  REQUESTS_CA_BUNDLE={file}", style="bold", end="")
        console.print("   Python's requests; instead of what it trusts")
        console.print(f"  SSL_CERT_FILE={file}", style="bold", end="")
        console.print("   Go, Ruby, OpenSSL, Python's ssl; instead of what they trust")

    def _explain_system(self, console: Console, store: TrustStore) -> None:
        trusted = store.holds(self.authority)
        commands, what = (store.removing, "no more") if trusted else (store.installing, "as others")
        if trusted is not None:
            console.print(f"Trusted      {'yes' if trusted else 'no'}, by {store.name}")
        console.print(f"\nHave this system trust it {what}:")
        for command in commands:
            console.print(f"  sudo {shlex.join(command)}", style="bold")
