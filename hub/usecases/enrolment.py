"""Enrolment: a one-time token and two certificate requests in, certificates and the codes served out.

The rules: a token is known by the digest of its secret alone. It is spent once, in the transaction that lets the
certificates in and publishes the seal certificate. The request that spent it may be repeated, and is answered with the
stored answer, because an answer can be lost on its way; another request finds the token used.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Authority
from certs.certification_path import REMEMBERED_PATHS
from certs.enrolment_token import secret_digest
from certs.errors import SEAL_FAULTS
from certs.keys import accepted_public_key, certificates_pem, fingerprint, parse_certificates, read_request
from certs.signature_profile import MAXIMUM_CERTIFICATES
from certs.trust import TrustAnchor
from certs.usage import SEALS
from hub.store import agencies, audit_log, connections, directory, enrolments, state, watching
from hub.store.audit_log import AuditEntry
from hub.store.connections import ConnectionRow
from hub.store.enrolments import TokenRow
from hub.store.metadata import Transaction
from hub.usecases.directory import DirectoryPublisher
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Rejected
from transport.wire import EnrolmentAnswer, EnrolmentRequest, HubIdentity

#: A seal certificate names the agencies it is for, to inform people; a long list would travel with every envelope.
_NAMED_CODES: Final = 32


@dataclass(frozen=True, slots=True)
class _Presented:
    """What a node showed, as digests, and when."""

    secret_digest: Sha256Hex
    request_digest: Sha256Hex
    at: datetime


@dataclass(frozen=True, slots=True)
class _Applicant:
    """What the database says of a token's holder, read in one snapshot."""

    token: TokenRow
    connection: ConnectionRow
    codes: tuple[AgencyCode, ...]
    anchors: tuple[TrustAnchor, ...]
    epoch: str


@dataclass(frozen=True, slots=True)
class _Issued:
    """The certificates of an enrolment, leaf first."""

    tls: tuple[x509.Certificate, ...]
    seal: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Lets nodes in. `hub_name` is what the hub calls itself in receipts."""

    database: Database
    authority: Authority
    publisher: DirectoryPublisher
    hub_name: str
    clock: Clock

    async def enrol(self, secret: str, request: EnrolmentRequest) -> bytes:
        """The encoded EnrolmentAnswer to `request` by the holder of `secret`.

        Raises `token-unknown`, `token-expired`, `token-used`, `connection-suspended`; `request-malformed` for neither
        or both of a seal's request and certificates; `key-…` for a request that is no good; `seal-certificate-…` and
        `anchor-prefix` for an own seal certificate that no anchor of the directory stands behind.
        """
        # 1. Whose token is it, and can it be used still?
        presented = _Presented(secret_digest(secret), hashlib.sha256(request.encode()).hexdigest(), self.clock())
        found = await self.database.read(lambda transaction: _applicant(transaction, presented.secret_digest))
        judged = _judged(found, presented)
        if isinstance(judged, bytes):
            return judged
        # 2. Certificates are made outside the transaction: they take longer than anything in it.
        issued = await asyncio.to_thread(self._issue, judged, request, presented.at)
        answer = self._answer(judged, issued)
        # 3. One transaction spends the token, lets the certificates in and tells the directory.
        spent = await self.database.write(lambda transaction: self._spend(transaction, presented, issued, answer))
        if isinstance(spent, CongvanError):
            raise spent
        return spent

    def _issue(self, applicant: _Applicant, request: EnrolmentRequest, now: datetime) -> _Issued:
        connection = applicant.connection.connection
        tls = self.authority.issue_client(request.tls_request.encode(), connection, now)
        match request.seal_request, request.seal_certificates:
            case str(seal_request), None:
                _require_other_key(request.tls_request, read_request(seal_request.encode()).public_key())
                named = applicant.codes if len(applicant.codes) <= _NAMED_CODES else ()
                seal = self.authority.issue_seal(seal_request.encode(), connection, named, now)
            case None, str(own):
                seal = _own_seal(own, applicant, now)
                _require_other_key(request.tls_request, seal[0].public_key())
            case _:
                raise Rejected(
                    "request-malformed",
                    "An enrolment has either seal_request or seal_certificates.",
                    element="seal_request",
                    mend="Ask for a seal certificate, or bring your own.",
                )
        return _Issued(tls, seal)

    def _answer(self, applicant: _Applicant, issued: _Issued) -> bytes:
        return EnrolmentAnswer(
            connection=applicant.connection.connection,
            name=applicant.connection.name,
            codes=tuple(code.value for code in applicant.codes),
            tls_certificates=certificates_pem(issued.tls).decode(),
            seal_certificates=certificates_pem(issued.seal).decode(),
            hub=HubIdentity(name=self.hub_name, authority=self.authority.chain_pem.decode(), epoch=applicant.epoch),
        ).encode()

    def _spend(
        self, transaction: Transaction, presented: _Presented, issued: _Issued, answer: bytes
    ) -> bytes | CongvanError:
        """The answer to give. Two requests may have come this far: the first one spends, the other is judged again."""
        try:
            judged = _judged(_applicant(transaction, presented.secret_digest), presented)
        except Rejected as error:
            return error
        if isinstance(judged, bytes):
            return judged
        connection, now = judged.connection.connection, presented.at
        enrolments.spend(
            transaction,
            presented.secret_digest,
            request_digest=presented.request_digest,
            answer=answer,
            at=now,
        )
        client, seal = issued.tls[0], issued.seal[0]
        connections.replace_client(
            transaction, connection, fingerprint(client), not_after=client.not_valid_after_utc, at=now
        )
        watching.begin(transaction, connection, at=now)
        if judged.token.withdraw_seals:
            connections.withdraw_seals(transaction, connection)
        connections.add_seal(transaction, connection, fingerprint(seal), seal.public_bytes(Encoding.DER), at=now)
        version = self.publisher.publish(transaction, now, connections=(connections.entry(transaction, connection),))
        detail = {"tls": fingerprint(client), "seal": fingerprint(seal), "version": version}
        audit_log.note(transaction, AuditEntry(now, f"node:{connection}", "connection.enrolled", connection, detail))
        return answer


def _applicant(transaction: Transaction, digest: Sha256Hex) -> _Applicant | None:
    token = enrolments.find(transaction, digest)
    if token is None:
        return None
    connection = connections.find(transaction, token.connection)
    if connection is None:
        return None
    return _Applicant(
        token=token,
        connection=connection,
        codes=agencies.served_by(transaction, token.connection),
        anchors=directory.anchors(transaction),
        epoch=state.epoch(transaction),
    )


def _judged(found: _Applicant | None, presented: _Presented) -> _Applicant | bytes:
    """The applicant if the token can be spent, the stored answer if this request spent it."""
    if found is None or not hmac.compare_digest(found.token.secret_digest, presented.secret_digest):
        raise Rejected(
            "token-unknown",
            "This token is none of this hub's, or a newer one took its place.",
            mend="Check the hub's address, or ask its operator for a new token.",
        )
    if found.connection.status is not EntryStatus.ACTIVE:
        raise Rejected(
            "connection-suspended",
            f"The connection {found.connection.connection} is suspended.",
            mend="Ask the hub's operator.",
        )
    if found.token.used_at is not None:
        if found.token.request_digest == presented.request_digest and found.token.answer is not None:
            return found.token.answer
        raise Rejected(
            "token-used",
            "This token has been used, with other certificate requests.",
            mend="If that was not you, tell the hub's operator at once; else ask for a new token.",
        )
    if presented.at >= found.token.expires_at:
        raise Rejected(
            "token-expired",
            f"This token could be used until {found.token.expires_at:%Y-%m-%d %H:%M} UTC.",
            mend="Ask the hub's operator for a new token: `congvan hub connection token` makes one.",
        )
    return found


def _own_seal(pem: str, applicant: _Applicant, now: datetime) -> tuple[x509.Certificate, ...]:
    """The chain of a seal certificate from another authority, if a trust anchor for every code served stands above."""
    chain = parse_certificates(pem.encode())[:MAXIMUM_CERTIFICATES]
    accepted_public_key(chain[0].public_key())
    path = REMEMBERED_PATHS.find(
        chain[0],
        chain[1:],
        [anchor.certificate for anchor in applicant.anchors],
        usage=SEALS,
        at=now,
        faults=SEAL_FAULTS,
    )
    outside = _not_covered(applicant.codes, applicant.anchors, path.anchor)
    if outside:
        shown = ", ".join(code.value for code in outside[:5])
        raise Rejected(
            "anchor-prefix",
            f"The authority of this seal certificate is trusted, but not for {shown}.",
            element="seal_certificates",
            mend="Bring a certificate of an authority that is trusted for these codes, or ask for one of this hub.",
        )
    return chain


def _not_covered(
    codes: Sequence[AgencyCode], anchors: Sequence[TrustAnchor], reached: x509.Certificate
) -> list[AgencyCode]:
    holding = [anchor for anchor in anchors if anchor.certificate == reached]
    return [code for code in codes if not any(anchor.covers(code) for anchor in holding)]


def _require_other_key(tls_request: str, seal_key: object) -> None:
    if read_request(tls_request.encode()).public_key() == seal_key:
        raise Rejected(
            "key-shared",
            "The same key is to open connections and to seal.",
            element="seal_request",
            mend="Make two keys: a machine shows the one to anybody, the other signs documents.",
        )
