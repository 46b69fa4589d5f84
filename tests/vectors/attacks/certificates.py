"""Attacks by signers: the signature is sound, but the key must not sign this."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.certificate_profiles import Chain
from certs.keys import PrivateKey, new_p256_key
from certs.names import SEAL_PURPOSE
from certs.sealing import seal
from schemas.codes import AgencyCode
from tests.vectors.attacks.registry import refused_as
from tests.vectors.workshop import (
    AT,
    G22,
    H23,
    H31,
    H99,
    Workshop,
    envelope_from,
    sealed_with,
    unrestricted_chain,
)


@refused_as("seal-certificate-expired")
def certificate_expired(workshop: Workshop) -> bytes:
    """The signer's certificate expired last year."""
    key = workshop.key_of(G22, workshop.national, now=AT - timedelta(days=4 * 365))
    return seal(envelope_from(), key, AT).data


@refused_as("seal-certificate-not-yet-valid")
def certificate_not_yet_valid(workshop: Workshop) -> bytes:
    """The signer's certificate is valid from tomorrow."""
    # Issued the day after: certificates are dated back by a day.
    key = workshop.key_of(G22, workshop.national, now=AT + timedelta(days=2))
    return seal(envelope_from(), key, AT).data


@refused_as("seal-certificate-expired")
def authority_expired(workshop: Workshop) -> bytes:
    """The signer's certificate outlives the authority that issued it."""
    key, issuing = new_p256_key(), workshop.lapsed.seals
    chain = unrestricted_chain((issuing.certificate,), issuing.key, key, extensions=as_seal())
    return _sealed_and_bound(workshop, chain, key)


@refused_as("seal-certificate-untrusted")
def authority_foreign(workshop: Workshop) -> bytes:
    """A certificate just like ours, by an authority that is no anchor."""
    return seal(envelope_from(), workshop.key_of(G22, workshop.foreign), AT).data


@refused_as("seal-certificate-untrusted")
def authority_self_made(workshop: Workshop) -> bytes:
    """A chain whose authority has the name of ours and another key."""
    authority_key, key = new_p256_key(), new_p256_key()
    namesake = (workshop.national.seals.certificate,)
    forged = unrestricted_chain(
        (workshop.national.root,), authority_key, authority_key, extensions=_as_authority(0), name=_name(namesake[0])
    )
    chain = unrestricted_chain(forged[:1], authority_key, key, extensions=as_seal())
    return _sealed_and_bound(workshop, chain, key)


@refused_as("seal-certificate-untrusted")
def chain_missing(workshop: Workshop) -> bytes:
    """The signer's certificate comes without the authority that issued it."""
    key = workshop.key_of(G22, workshop.national)
    return sealed_with(workshop.tree(), key.certificates[:1], key.private_key)


@refused_as("seal-certificate-untrusted")
def issued_by_an_agency(workshop: Workshop) -> bytes:
    """An agency issues a certificate with its own seal key, as if it were an authority."""
    key = new_p256_key()
    chain = unrestricted_chain(workshop.g22.certificates, workshop.g22.private_key, key, extensions=as_seal())
    return _sealed_and_bound(workshop, chain, key)


@refused_as("seal-certificate-untrusted")
def issued_below_an_issuing_authority(workshop: Workshop) -> bytes:
    """A second authority below one that may have none below it (path length 0)."""
    authority_key, key = new_p256_key(), new_p256_key()
    authority = _chain(workshop, authority_key, *_as_authority(0), name="Below")
    chain = unrestricted_chain(authority, authority_key, key, extensions=as_seal())
    return _sealed_and_bound(workshop, chain, key)


@refused_as("seal-certificate-untrusted")
def issued_by_the_authority_for_tls(workshop: Workshop) -> bytes:
    """A certificate for seals by the authority that may issue for TLS alone."""
    key = new_p256_key()
    issuing = workshop.national.tls
    chain = unrestricted_chain((issuing.certificate,), issuing.key, key, extensions=as_seal())
    return _sealed_and_bound(workshop, chain, key)


@refused_as("anchor-prefix")
def authority_outside_its_prefix(workshop: Workshop) -> bytes:
    """The province's authority is trusted for H23 and below; here it vouches for G22."""
    return seal(envelope_from(), workshop.key_of(G22, workshop.provincial), AT).data


@refused_as("signer-not-bound")
def sealed_by_another_agency(workshop: Workshop) -> bytes:
    """H23 seals, with its own good key, a message from G22."""
    return seal(envelope_from(), workshop.key_of(H23, workshop.national), AT).data


@refused_as("signer-not-bound")
def sealed_with_a_certificate_of_the_same_name(workshop: Workshop) -> bytes:
    """A certificate in G22's name by the right authority, which the directory does not know."""
    key = new_p256_key()
    chain = workshop.national.issue_seal(key.public_key(), "node-G22", [G22], AT)
    return sealed_with(workshop.tree(), chain, key)


@refused_as("agency-unknown")
def agency_unknown(workshop: Workshop) -> bytes:
    """The agency in From is in no directory."""
    return seal(envelope_from(H99), workshop.key_of(H99, workshop.national), AT).data


@refused_as("agency-suspended")
def agency_suspended(workshop: Workshop) -> bytes:
    """The agency in From is suspended."""
    return seal(envelope_from(H31), workshop.key_of(H31, workshop.national), AT).data


@refused_as("seal-certificate-usage")
def sealed_with_a_tls_client_key(workshop: Workshop) -> bytes:
    """The key with which the node opens its connections."""
    key = new_p256_key()
    return _sealed_and_bound(workshop, workshop.national.issue_client(key.public_key(), "node-G22", AT), key)


@refused_as("seal-certificate-usage")
def sealed_with_a_tls_server_key(workshop: Workshop) -> bytes:
    """The key of an agency's web server."""
    key = new_p256_key()
    return _sealed_and_bound(workshop, workshop.national.issue_server(key.public_key(), ["g22.example"], AT), key)


@refused_as("seal-certificate-usage")
def sealed_with_a_key_for_everything(workshop: Workshop) -> bytes:
    """A certificate for seals that is good for TLS as well."""
    usages = [SEAL_PURPOSE, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _sealed_by_national(workshop, (_KEY_USAGE, (x509.ExtendedKeyUsage(usages), False)))


@refused_as("seal-certificate-usage")
def sealed_with_the_key_for_receipts(workshop: Workshop) -> bytes:
    """The key with which the hub signs its receipts."""
    key = new_p256_key()
    return _sealed_and_bound(workshop, workshop.national.issue_receipts(key.public_key(), "hub", AT), key)


@refused_as("seal-certificate-usage")
def sealed_with_the_key_for_the_directory(workshop: Workshop) -> bytes:
    """The key with which the hub signs the directory."""
    key = new_p256_key()
    return _sealed_and_bound(workshop, workshop.national.issue_directory(key.public_key(), "hub", AT), key)


@refused_as("seal-certificate-usage")
def sealed_without_commitment(workshop: Workshop) -> bytes:
    """A certificate whose key usage leaves out contentCommitment: a key for logging in, not for signing documents."""
    return _sealed_by_national(workshop, ((key_usage(content_commitment=False), True),))


@refused_as("seal-certificate-usage")
def sealed_by_the_authority_itself(workshop: Workshop) -> bytes:
    """The authority's own certificate as the signer's."""
    issuing = workshop.national.seals
    return _sealed_and_bound(workshop, (issuing.certificate,), issuing.key)


@refused_as("seal-certificate-usage")
def sealed_by_an_authority_that_may_sign(workshop: Workshop) -> bytes:
    """An authority's certificate whose key usage allows documents as well."""
    return _sealed_by_national(workshop, _as_authority(0))


@refused_as("seal-key")
def key_of_1024_bits(workshop: Workshop) -> bytes:
    """An RSA key of 1024 bits."""
    return _sealed_by_national(workshop, as_seal(), rsa.generate_private_key(65537, 1024))


@refused_as("seal-key")
def key_on_another_curve(workshop: Workshop) -> bytes:
    """A key on P-384, which the profile does not take."""
    return _sealed_by_national(workshop, as_seal(), ec.generate_private_key(ec.SECP384R1()))


Extensions = tuple[tuple[x509.ExtensionType, bool], ...]


def key_usage(*, content_commitment: bool = True, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


_KEY_USAGE = (key_usage(), True)


def as_seal() -> Extensions:
    return (_KEY_USAGE, (x509.ExtendedKeyUsage([SEAL_PURPOSE]), False))


def _as_authority(path_length: int | None) -> Extensions:
    return (
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (key_usage(key_cert_sign=True), True),
    )


def _name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def _chain(workshop: Workshop, key: PrivateKey, *extensions: tuple[x509.ExtensionType, bool], name: str) -> Chain:
    """A chain under the national authority for seals."""
    issuing = workshop.national.seals
    return unrestricted_chain((issuing.certificate,), issuing.key, key, extensions=extensions, name=name)


def _sealed_by_national(workshop: Workshop, extensions: Extensions, key: PrivateKey | None = None) -> bytes:
    private = key or new_p256_key()
    return _sealed_and_bound(workshop, _chain(workshop, private, *extensions, name="G22"), private)


def _sealed_and_bound(workshop: Workshop, chain: Chain, key: PrivateKey, code: AgencyCode = G22) -> bytes:
    workshop.bind(code, chain)
    return sealed_with(workshop.tree(), chain, key)
