"""View of ``fnkit platform trust``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.layout import print_commands, print_fields, print_wrapped, safe_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fnkit.platform.supervisor.launcher import CaCertificate, TrustStore


@dataclass(frozen=True, slots=True)
class TrustView:
    """The local CA and its state in the system's trust store.

    Args:
        authority: The certificate of the CA.
        store: The system's trust store; ``None`` if none is supported.
        completed_action: ``installed`` or ``removed`` if the command just did that, else empty.
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
            sentence = (
                "Installed the CA certificate in the system's trust store. Restart running programs to use it."
            )
            print_wrapped(console, sentence, label=safe_text("✓", "green"))
            print_commands(console, "To undo this:", (("fnkit platform trust --remove", ""),))
        elif self.completed_action == "removed":
            sentence = "Removed the CA certificate from the system's trust store."
            print_wrapped(console, sentence, label=safe_text("✓", "green"))
        else:
            self._render_instructions(console)

    def _render_instructions(self, console: Console) -> None:
        store, file = self.store, shlex.quote(str(self.authority.file))
        trusted = None if store is None else store.contains(self.authority)
        print_fields(
            console,
            (
                ("Certificate", str(self.authority.file)),
                ("SHA-256", self.authority.fingerprint),
                ("Trusted by this system", "" if trusted is None else _yes_or_no(is_yes=trusted)),
                ("Trust store", "" if store is None else store.name),
            ),
        )
        console.print()
        if store is not None:
            commands, verb = (
                (store.remove_commands, "remove it from") if trusted else (store.install_commands, "add it to")
            )
            shown = [(f"sudo {shlex.join(command)}", "") for command in commands]
            print_commands(console, f"To {verb} the system's trust store:", shown)
            console.print()
        print_commands(
            console,
            "To trust it in single programs:",
            (
                (f"curl --cacert {file}", ""),
                (f"NODE_EXTRA_CA_CERTS={file}", "Node; in addition to its own CAs"),
                (f"REQUESTS_CA_BUNDLE={file}", "Python's requests; replaces its CAs"),
                (f"SSL_CERT_FILE={file}", "Go, Ruby, OpenSSL, Python's ssl; replaces their CAs"),
            ),
        )


def _yes_or_no(*, is_yes: bool) -> Text:
    return safe_text("yes", "green") if is_yes else safe_text("no", "yellow")
