"""From a signer's certificate to a trust anchor, at a given time (RFC 5280, section 6).

The path is built and checked by `cryptography.x509.verification`: it is synchronous and does no I/O, so it can stand in
the middle of `bind`. pyhanko-certvalidator, which is neither, has its place where revocation is asked of the network.
The defaults for the web (a DNS name, TLS purposes) are replaced by the rules for signatures on documents.

A path costs a quarter of a millisecond, and one connection seals thousands of envelopes with one certificate: found
paths are remembered, each with the time in which every certificate of it is valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Final

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from certs.errors import SignatureFaults
from certs.usage import Usage

#: A connection has a certificate or two: enough for the hundred connections of a hub, and for a child hub's.
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class CertificationPath:
    """A path that was checked: its certificates from the leaf to the anchor, and when all of them are valid."""

    certificates: tuple[x509.Certificate, ...]
    not_before: datetime
    not_after: datetime

    @property
    def anchor(self) -> x509.Certificate:
        return self.certificates[-1]

    def is_valid(self, at: datetime) -> bool:
        return self.not_before <= at <= self.not_after


@dataclass(frozen=True, slots=True)
class _Question:
    """What a path is asked for, but for the time: equal questions have equal paths."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    anchors: tuple[x509.Certificate, ...]
    usage: Usage


class CertificationPaths:
    """Finds paths and remembers them, the oldest forgotten first. Threads may share one."""

    def __init__(self, capacity: int = _REMEMBERED) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._found: dict[_Question, CertificationPath] = {}

    def find(
        self,
        leaf: x509.Certificate,
        intermediates: Sequence[x509.Certificate],
        anchors: Sequence[x509.Certificate],
        *,
        usage: Usage,
        at: datetime,
        faults: SignatureFaults,
    ) -> CertificationPath:
        """A path from `leaf` to one of `anchors` whose certificates are all valid at `at` and made for `usage`.

        Raises what `faults` makes: `certificate-expired`, `certificate-not-yet-valid`, `certificate-usage`,
        `certificate-untrusted`.
        """
        question = _Question(leaf, tuple(intermediates), tuple(anchors), usage)
        path = self._found.get(question)
        if path is None or not path.is_valid(at):
            path = _find(question, at, faults)
            self._remember(question, path)
        return path

    def _remember(self, question: _Question, path: CertificationPath) -> None:
        with self._lock:
            self._found.pop(question, None)
            if len(self._found) >= self._capacity:
                del self._found[next(iter(self._found))]
            self._found[question] = path


#: The memory that verifiers share unless they are given one of their own.
REMEMBERED_PATHS: Final = CertificationPaths()


def _find(question: _Question, at: datetime, faults: SignatureFaults) -> CertificationPath:
    leaf = question.leaf
    _require_valid(leaf, at, faults)
    _require_usage(leaf, question.usage, faults)
    try:
        chain = _verified_chain(question, at)
    except (VerificationError, ValueError) as error:
        # The same fault as of a leaf, only further up: say so, rather than that there is no path.
        for authority in _above(leaf, [*question.intermediates, *question.anchors]):
            _require_valid(authority, at, faults)
        raise faults(
            "certificate-untrusted",
            f"No path leads from the certificate of {_subject(leaf)} to a trust anchor.",
            mend="Send the whole chain, or ask the operator to add the authority that issued the certificate.",
        ) from error
    return CertificationPath(
        tuple(chain),
        not_before=max(certificate.not_valid_before_utc for certificate in chain),
        not_after=min(certificate.not_valid_after_utc for certificate in chain),
    )


def _verified_chain(question: _Question, at: datetime) -> list[x509.Certificate]:
    """Leaf to anchor; VerificationError if there is no such path, ValueError if there are no anchors."""
    authority_policy = (  # that cA is true, and the path length, the verifier sees to by itself
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_key_usage)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, partial(_check_purposes, question.usage))
    )
    verifier = (
        PolicyBuilder()
        .store(Store(list(question.anchors)))
        .time(at.astimezone(UTC))
        .extension_policies(ca_policy=authority_policy, ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    return verifier.verify(question.leaf, list(question.intermediates)).chain


def _check_key_usage(_policy: Policy, _certificate: x509.Certificate, key_usage: x509.KeyUsage | None) -> None:
    if key_usage is not None and not key_usage.key_cert_sign:
        raise ValueError("an authority's key usage does not include keyCertSign")


def _check_purposes(
    usage: Usage, _policy: Policy, _certificate: x509.Certificate, purposes: x509.ExtendedKeyUsage | None
) -> None:
    if not usage.admits_authority(purposes):
        raise ValueError("an authority's extended key usage does not include this use")


def _above(leaf: x509.Certificate, candidates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Those of `candidates` whose names lead up from `leaf`."""
    reached: list[x509.Certificate] = []
    names = {leaf.issuer}
    for _ in candidates:
        reached = [candidate for candidate in candidates if candidate.subject in names]
        names |= {certificate.issuer for certificate in reached}
    return reached


def _require_valid(certificate: x509.Certificate, at: datetime, faults: SignatureFaults) -> None:
    if at > certificate.not_valid_after_utc:
        raise faults(
            "certificate-expired",
            f"The certificate of {_subject(certificate)} expired at {certificate.not_valid_after_utc.isoformat()}.",
            mend="Renew the certificate and sign anew.",
        )
    if at < certificate.not_valid_before_utc:
        raise faults(
            "certificate-not-yet-valid",
            f"The certificate of {_subject(certificate)} is valid from {certificate.not_valid_before_utc.isoformat()}.",
            mend="Check the clocks of the signer and of this machine.",
        )


def _require_usage(leaf: x509.Certificate, usage: Usage, faults: SignatureFaults) -> None:
    fault = usage.fault_of_leaf(leaf)
    if fault is not None:
        raise faults(
            "certificate-usage",
            f"The certificate of {_subject(leaf)} must not sign this: {fault}.",
            mend="Sign with a certificate that was issued for this use.",
        )


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "no name"
