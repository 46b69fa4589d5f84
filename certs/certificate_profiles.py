"""The profiles of the certificates that our authority issues (RFC 5280): root, issuing authority, leaf."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ObjectIdentifier

from certs.keys import PrivateKey, PublicKey
from certs.names import agency_uri, common_name
from certs.usage import TLS_PURPOSES
from schemas.codes import AgencyCode

#: Leaf first, then what stands above it, without the root.
Chain: TypeAlias = tuple[x509.Certificate, ...]

#: A certificate is valid from a day before its making: a peer whose clock is hours behind, by a wrong time zone or a
#: dead battery, can use it at once, and what it attests by that clock can be verified.
BACKDATED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class IssuingAuthority:
    """A CA certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)


def root_profile(key: PrivateKey, name: str, *, now: datetime, lifetime: timedelta) -> x509.Certificate:
    """A self-signed root, above at most one layer of issuing authorities."""
    subject = common_name(name)
    builder = _builder(subject, subject, key.public_key(), now - BACKDATED, now + lifetime)
    builder = _as_authority(builder, key.public_key(), path_length=1)
    return builder.sign(key, hashes.SHA256())


def issuing_profile(
    root: IssuingAuthority,
    key: PublicKey,
    *,
    name: str,
    role: str,
    purposes: Sequence[ObjectIdentifier],
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """An authority that issues leaves for `purposes` alone."""
    until = min(now + lifetime, root.certificate.not_valid_after_utc)
    builder = _builder(common_name(name, f" {role}"), root.certificate.subject, key, now - BACKDATED, until)
    builder = _as_authority(builder, key, path_length=0)
    # Not critical: libraries that know nothing of constraints by key usage still follow the path.
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return _below(builder, root).sign(root.key, hashes.SHA256())


def leaf_profile(
    issuer: IssuingAuthority,
    key: PublicKey,
    *,
    subject: x509.Name,
    names: x509.SubjectAlternativeName | None,
    purpose: ObjectIdentifier,
    now: datetime,
    lifetime: timedelta,
    since: datetime | None = None,
) -> Chain:
    """A leaf for `purpose`, and its issuer. What signs documents also carries contentCommitment (nonRepudiation).

    It is good from `since` on, if that is given: when a certificate of the same key was before it.
    """
    until = min(now + lifetime, issuer.certificate.not_valid_after_utc)
    signs_documents = purpose not in TLS_PURPOSES
    builder = _builder(subject, issuer.certificate.subject, key, since or now - BACKDATED, until)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, content_commitment=signs_documents), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return (_below(builder, issuer).sign(issuer.key, hashes.SHA256()), issuer.certificate)


def server_names(names: Iterable[str]) -> x509.SubjectAlternativeName:
    """SubjectAltName of a server: what reads as an IP address is one, all else is a DNS name."""
    return x509.SubjectAlternativeName([_server_name(name) for name in names])


def uri_names(uris: Iterable[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


def agency_names(codes: Iterable[AgencyCode]) -> x509.SubjectAlternativeName | None:
    """SubjectAltName with the agencies' codes; None for none, for an empty one is malformed (RFC 5280, 4.2.1.6)."""
    uris = [agency_uri(code) for code in codes]
    return uri_names(uris) if uris else None


def _server_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _as_authority(builder: x509.CertificateBuilder, key: PublicKey, *, path_length: int) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _below(builder: x509.CertificateBuilder, issuer: IssuingAuthority) -> x509.CertificateBuilder:
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
