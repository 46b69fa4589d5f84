"""Signing and verifying receipts: one proof, one signature, for all receipts that commit together.

A proof lists the SHA-256 digests of the receipts and is signed like an envelope (the same profile, last in the root).
A hub signs with a key that is for receipts alone and names the hub; an agency with a key that may seal for it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from typing import Final

from cryptography import x509

from certs.agency_signer import require_agency_signer, require_known
from certs.certification_path import REMEMBERED_PATHS
from certs.errors import PROOF_FAULTS
from certs.names import hub_named
from certs.sealing_key import SealingKey
from certs.signature_reader import OpenedSignature, known_signature, open_signature
from certs.signature_text import taken_apart
from certs.signature_writer import sign_canonical, sign_enveloped
from certs.trust import Trust
from certs.usage import RECEIPTS
from certs.verified import Verified, verified
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable
from schemas.receipt_codec import known_proof, parse_proof, read_proof, read_receipt, write_proof, write_receipt
from schemas.receipts import Issuer, IssuerKind, Proof, Receipt, ReceiptEvent, SignedReceipt
from schemas.xml import parse_canonical

#: Proofs whose signature is remembered: those of one batch of mail, whose receipts come in any order. A proof of the
#: most receipts that one transaction commits has 4 MiB; most have a few KiB.
_REMEMBERED_PROOFS: Final = 32

#: What happens at a recipient the recipient attests; that a delivery failed, a hub on the way may.
_AT_RECIPIENT: Final = frozenset({
    ReceiptEvent.CONTENT_CONSIGNMENT,
    ReceiptEvent.CONTENT_HANDOVER,
    ReceiptEvent.CONTENT_HANDOVER_FAILURE,
})  # fmt: skip

#: In bytes that we write.
_BEHIND_SIGNATURE: Final = b"</Proof>"

_new_salt: Final[Callable[[], str]] = partial(secrets.token_hex, 16)


@dataclass(frozen=True, slots=True)
class ReceiptTrust:
    """`hub_anchors` are the roots of the hubs whose receipts count; `agencies` is the same as for seals."""

    hub_anchors: tuple[x509.Certificate, ...]
    agencies: Trust


def sign_receipts(
    receipts: Sequence[Receipt],
    key: SealingKey,
    *,
    issued_at: datetime,
    salts: Callable[[], str] = _new_salt,
) -> tuple[SignedReceipt, ...]:
    """The receipts, in their order, under one proof that is signed once.

    Raises:
        ValueError: there is none, or they have more than one issuer, or `issued_at` is naive.
        Rejected: a receipt holds what its form does not admit.
        Unavailable: `clock-beyond-certificate`, if the key's certificate is not valid at `issued_at`: nobody would ever
            believe what is signed then, and a receipt is not signed a second time.
    """
    _require_valid(key.certificates[0], issued_at)
    issuers = {receipt.issuer for receipt in receipts}
    if len(issuers) != 1:
        raise ValueError(f"a proof has one issuer, not {len(issuers)}")
    (issuer,) = issuers
    written = [write_receipt(receipt, salts()) for receipt in receipts]
    unsigned = write_proof([_digest(data) for data in written], issuer=issuer, issued_at=issued_at)
    if known_proof(unsigned, signed_bytes=len(unsigned)) is not None:
        proof, _ = sign_canonical(unsigned, _BEHIND_SIGNATURE, key, issued_at)
    else:
        proof, _ = sign_enveloped(unsigned, parse_proof(unsigned), key, issued_at)
    return tuple(SignedReceipt(data, proof) for data in written)


def _require_valid(certificate: x509.Certificate, at: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= at <= ends:
        raise Unavailable(
            "clock-beyond-certificate",
            f"It is {at.isoformat()} by this machine's clock, and the certificate that receipts are signed with is "
            f"valid from {begins.isoformat()} to {ends.isoformat()}.",
            mend="Correct the clock; if it is right, renew the certificate.",
        )


@dataclass(frozen=True, slots=True)
class _OpenedProof:
    """A proof whose signature verifies with the key that it brings along."""

    proof: Proof = field(repr=False)
    digests: frozenset[Sha256Hex] = field(repr=False)
    signature: OpenedSignature


@dataclass(frozen=True, slots=True)
class OpenedReceipt:
    """A receipt that its proof lists, under a signature that verifies with the key that the proof brings along.

    Whose key that is, nobody has said yet: `receipt` tells for whom and when the directory is to be asked.
    """

    receipt: Receipt
    _data: bytes = field(repr=False)
    _opened: _OpenedProof = field(repr=False)

    def bind(self, trust: ReceiptTrust, at: datetime) -> Verified[Receipt]:
        """The receipt, if the signer, at the time `at`, may speak for its issuer.

        Whether the agency is suspended by now is not asked: a receipt speaks of what happened before. A key that must
        not count any more, the directory no longer binds.

        Raises ReceiptRejected: `receipt-signer`; `proof-certificate-…`, `agency-unknown`, `anchor-prefix`,
        `signer-not-bound` for the signer.
        """
        signature = self._opened.signature
        _require_signer_of(self.receipt.issuer, signature, trust, at)
        return verified(
            self.receipt,
            data=self._data,
            message_id=self.receipt.message_id,
            signer_fingerprint=signature.fingerprint,
            signed_at=self._opened.proof.issued_at,
        )


def open_receipt(signed: SignedReceipt) -> OpenedReceipt:
    """Verify the signature over a receipt, and read it. Of many receipts under one proof the first pays for it.

    Raises:
        ReceiptRejected: `receipt-not-in-proof`, `receipt-issuer`; `proof-…` for the signature.
        LimitExceeded, MalformedMessage, MalformedCode: receipt or proof is not of its form.
    """
    opened = _opened_proof(signed.proof)
    if _digest(signed.receipt) not in opened.digests:
        raise PROOF_FAULTS.named(
            "receipt-not-in-proof",
            "The proof does not list this receipt.",
            mend="Keep each receipt with the proof that came with it, byte for byte.",
        )
    receipt = read_receipt(signed.receipt)
    if receipt.issuer != opened.proof.issuer:
        raise PROOF_FAULTS.named(
            "receipt-issuer",
            f"The receipt is issued by {receipt.issuer.name}, its proof by {opened.proof.issuer.name}.",
            mend="Issue receipts of each party under a proof of its own.",
        )
    return OpenedReceipt(receipt, signed.receipt, opened)


def verify_receipt(signed: SignedReceipt, trust: ReceiptTrust, at: datetime) -> Verified[Receipt]:
    """The receipt, if its proof signs it and the signer, at the time `at`, may speak for its issuer.

    Raises as `open_receipt` and `OpenedReceipt.bind`.
    """
    return open_receipt(signed).bind(trust, at)


def require_witness(receipt: Receipt) -> None:
    """Pass if the issuer of a verified receipt is the party at which the event happened; else `receipt-issuer`."""
    if receipt.issuer.kind is IssuerKind.HUB:
        right = receipt.event not in _AT_RECIPIENT
    else:
        right = receipt.recipient is not None and receipt.issuer.name == receipt.recipient.value
    if not right:
        raise PROOF_FAULTS.named(
            "receipt-issuer",
            f"{receipt.issuer.name} attests {receipt.event}, which happened elsewhere.",
            mend="Ask the party at which it happened for its receipt.",
        )


@lru_cache(maxsize=_REMEMBERED_PROOFS)
def _opened_proof(data: bytes) -> _OpenedProof:
    """Neither time nor trust goes in here: what is remembered stays true."""
    known = _known_proof(data)
    if known is not None:
        return known
    with PROOF_FAULTS.of_place():
        root = parse_proof(data)
    signature = open_signature(root, (), PROOF_FAULTS)
    proof = read_proof(parse_canonical(signature.content))
    return _OpenedProof(proof, frozenset(proof.digests), signature)


def _known_proof(data: bytes) -> _OpenedProof | None:
    """The proof, if it and its Signature are to the byte as we write them; None if not, or if anything is wrong."""
    parts = taken_apart(data)
    if parts is None or parts[2] != _BEHIND_SIGNATURE:
        return None
    content = parts[0] + parts[2]
    proof = known_proof(content, signed_bytes=len(data))
    signature = known_signature(parts[1], content) if proof is not None else None
    if proof is None or signature is None:
        return None
    return _OpenedProof(proof, frozenset(proof.digests), signature)


def _require_signer_of(issuer: Issuer, signature: OpenedSignature, trust: ReceiptTrust, at: datetime) -> None:
    match issuer.kind:
        case IssuerKind.HUB:
            REMEMBERED_PATHS.find(
                signature.signer,
                signature.intermediates,
                trust.hub_anchors,
                usage=RECEIPTS,
                at=at,
                faults=PROOF_FAULTS,
            )
            if hub_named(signature.signer) != issuer.name:
                raise PROOF_FAULTS.named(
                    "receipt-signer",
                    f"The certificate that signed is not that of the hub {issuer.name}.",
                    mend="Sign with the receipts certificate of the hub that issues.",
                )
        case IssuerKind.AGENCY:
            code = AgencyCode.parse(issuer.name)
            binding = require_known(code, trust.agencies.binding_of(code), PROOF_FAULTS)
            require_agency_signer(signature, binding, trust.agencies.anchors, at, PROOF_FAULTS)


def _digest(data: bytes) -> Sha256Hex:
    return hashlib.sha256(data).hexdigest()
