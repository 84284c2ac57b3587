"""Keys and certificates of one cluster: a CA, a pair for each component, and the kubeconfigs made of them."""

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=30)
API_SERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose files lie in one folder as NAME.crt and NAME.key."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, directory: Path) -> "Authority":
        """Make a new authority, and the key with which the API server signs tokens, in an empty folder."""
        directory.mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("dask-gpu-k8s e2e", [])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        certificate = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        authority = cls(directory, key, certificate)
        authority._write("ca", key, certificate)
        tokens = ec.generate_private_key(ec.SECP256R1())
        _write_private(directory / "tokens.key", tokens)
        public = tokens.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (directory / "tokens.pub").write_bytes(public)
        return authority

    def issue(
        self,
        file: str,
        user: str,
        *,
        groups: Sequence[str] = (),
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
    ) -> None:
        """Write FILE.key and FILE.crt, good for a client (Kubernetes reads user and groups) and a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(user, groups), self.certificate.subject, key)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        known: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        known += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        if known:
            builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
        self._write(file, key, builder.sign(self.key, hashes.SHA256()))

    def kubeconfig(self, file: str, server: str) -> Path:
        """Write FILE.conf, whole in itself, for the pair FILE and return its path."""
        data = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "e2e",
                    "cluster": {"server": server, "certificate-authority-data": self._base64("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": file,
                    "user": {
                        "client-certificate-data": self._base64(f"{file}.crt"),
                        "client-key-data": self._base64(f"{file}.key"),
                    },
                }
            ],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": file}}],
            "current-context": "e2e",
        }
        path = self.directory / f"{file}.conf"
        path.touch(mode=0o600)
        path.write_text(json.dumps(data, indent=1))  # JSON is YAML too
        return path

    def _base64(self, file: str) -> str:
        return base64.b64encode((self.directory / file).read_bytes()).decode()

    def _write(self, file: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        _write_private(self.directory / f"{file}.key", key)
        (self.directory / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
