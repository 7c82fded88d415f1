"""Who belongs to a cluster: certificates by an authority of its own, for nobody else.

All machines of a cluster know its authority, as they know its token; each certifies itself. A
machine's own key never leaves it.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from llamactl.node.host.private_file import write_private

_AUTHORITY_LASTS: Final = timedelta(days=3650)
_LASTS: Final = timedelta(days=3649)  # what Ray has read it does not read again
_RENEWED: Final = timedelta(days=30)  # before its end
_SKEW: Final = timedelta(hours=1)  # between the machines' clocks
_OLDEST: Final = ssl.TLSVersion.TLSv1_3


@dataclass(frozen=True, slots=True)
class Files:
    """Of one machine, in a folder."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "machine.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "machine.pem"

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    def server(self) -> ssl.SSLContext:
        """Lets machines of the cluster in. Raises OSError."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.verify_mode = ssl.CERT_REQUIRED
        return self._loaded(made)

    def client(self) -> ssl.SSLContext:
        """Speaks to machines of the cluster, each at its own address. Raises OSError."""
        return self._loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _loaded(self, made: ssl.SSLContext) -> ssl.SSLContext:
        made.minimum_version = _OLDEST
        made.load_cert_chain(self.certificate, self.key)
        made.load_verify_locations(self.authority)
        return made

    def is_due(self, now: datetime, address: str, authority: bytes) -> bool:
        """Does the machine need a new certificate, at this address, by this authority?"""
        if not self.certificate.exists() or self.authority.read_bytes() != authority:
            return True
        held = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        its = names.get_values_for_type(x509.IPAddress)
        return now > held.not_valid_after_utc - _RENEWED or its != [ipaddress.ip_address(address)]

    def request(self) -> bytes:
        """To be signed by the authority. Makes a key if there is none."""
        if not self.key.exists():
            _write(self.key, _pem(ec.generate_private_key(ec.SECP256R1())))
        asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        signed = asked.sign(_key(self.key.read_bytes()), hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def keep(self, certificate: bytes, authority: bytes) -> None:
        """What was signed, and by whom."""
        _write(self.authority, authority)
        _write(self.certificate, certificate)


class Authority:
    """Of one cluster."""

    def __init__(self, folder: Path) -> None:
        """Reads it, or makes a new one. Raises OSError."""
        key, certificate = folder / "authority.key", folder / "authority.pem"
        if not key.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            _write(certificate, _self_signed(made))
            _write(key, _pem(made))  # last: with it there are both
        self._key = _key(key.read_bytes())
        self.certificate = certificate.read_bytes()

    @property
    def pem(self) -> str:
        """All of it. Who has this can be any machine of the cluster."""
        return self.certificate.decode() + _pem(self._key).decode()

    @staticmethod
    def keep(folder: Path, pem: str) -> None:
        """What `pem` of another machine gave. Raises OSError, or ValueError for anything else."""
        data = pem.encode()
        key = serialization.load_pem_private_key(data, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("its key is not one of an elliptic curve")  # noqa: TRY004
        certificate = x509.load_pem_x509_certificate(data)
        _write(folder / "authority.pem", certificate.public_bytes(serialization.Encoding.PEM))
        _write(folder / "authority.key", _pem(key))

    def sign(self, request: bytes, node: str, address: str, now: datetime) -> bytes:
        """For the machine at this address. Raises ValueError for anything but a request."""
        asked = x509.load_pem_x509_csr(request)
        if not asked.is_signature_valid:
            raise ValueError("its signature is not by its own key")
        us = x509.load_pem_x509_certificate(self.certificate)
        names = [x509.DNSName(node), x509.IPAddress(ipaddress.ip_address(address))]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = (
            _builder(node, us.subject, asked.public_key(), now, _LASTS)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        return _signed(made, self._key)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "llamactl cluster")])
    made = _builder(
        "llamactl cluster", name, key.public_key(), datetime.now(UTC), _AUTHORITY_LASTS
    ).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _signed(made, key)


def _builder(
    name: str, issuer: x509.Name, key: object, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("its key is not one of an elliptic curve")  # noqa: TRY004
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + lasts)
    )


def _signed(made: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    found = serialization.load_pem_private_key(pem, None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    return found


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, data, synced=True)
