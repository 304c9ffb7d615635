"""The keys and certificates of a cluster, and the files with which its programs and users connect to it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.network import SERVER_ADDRESS
from tests.support.certificates import certificate_builder

__all__ = ["ClusterCertificates"]

_SERVER_NAMES: Final = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
_SERVER_ADDRESSES: Final = ("10.96.0.1", SERVER_ADDRESS, "127.0.0.1")


class ClusterCertificates:
    """Certificates in a directory, signed by an authority of their own.

    Args:
        directory: Created if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes-ca")])
        own = certificate_builder(self._subject, self._subject, self._key.public_key())
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signed = own.sign(self._key, hashes.SHA256())
        (directory / "ca.crt").write_bytes(signed.public_bytes(Encoding.PEM))
        _write_key(directory / "ca.key", self._key)
        accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _write_key(directory / "accounts.key", accounts)
        (directory / "accounts.pub").write_bytes(
            accounts.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        self.add("apiserver", "kube-apiserver", is_server=True)
        self.add("admin", "admin", group="system:masters")
        for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
            self.add(name, f"system:{name}")

    def add(self, name: str, user: str, *, group: str = "", is_server: bool = False) -> None:
        """Write a key, a certificate for a user, and the file with which the user connects."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        made = certificate_builder(x509.Name(subject), self._subject, key.public_key()).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        if is_server:
            names = [
                *map(x509.DNSName, _SERVER_NAMES),
                *(x509.IPAddress(ip_address(one)) for one in _SERVER_ADDRESSES),
            ]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        (self.directory / f"{name}.crt").write_bytes(signed.public_bytes(Encoding.PEM))
        _write_key(self.directory / f"{name}.key", key)
        self.kubeconfig(name).write_text(
            f"""apiVersion: v1
kind: Config
clusters:
- name: fnkit
  cluster: {{server: "https://{SERVER_ADDRESS}:6443", certificate-authority: {self.directory}/ca.crt}}
users:
- name: {name}
  user: {{client-certificate: {self.directory}/{name}.crt, client-key: {self.directory}/{name}.key}}
contexts:
- name: fnkit
  context: {{cluster: fnkit, user: {name}}}
current-context: fnkit
"""
        )

    def kubeconfig(self, name: str) -> Path:
        """Return the file with which a user connects."""
        return self.directory / f"{name}.kubeconfig"


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
