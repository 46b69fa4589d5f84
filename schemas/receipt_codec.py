"""Receipts and proofs as XML (receipt.xsd): what a receipt's digest is taken of, and what a proof's signature covers.

Both are written in C14N form, one form for one value. A receipt's bytes are kept as they came; none is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import LimitExceeded, MalformedCode, MalformedMessage, Rejected
from schemas.fields import Fields, attribute_of, text_of
from schemas.instants import instant_text, parse_instant
from schemas.limits import KIB, MIB, Limits
from schemas.markup import encoded, escaped
from schemas.namespaces import RECEIPT
from schemas.receipt_text import proof_in, receipt_in
from schemas.receipts import Issuer, IssuerKind, Proof, Reason, Receipt, ReceiptEvent
from schemas.signature_place import require_signature_last
from schemas.validation import Grammar
from schemas.xml import Element, fault_at, line_of, parse

#: A receipt is short; only its reason and the document's id are written by others.
RECEIPT_LIMITS = Limits(envelope_bytes=64 * KIB, elements=100, depth=4, text_bytes=64 * KIB)
#: A proof of some 40,000 receipts, which is more than any one transaction commits.
PROOF_LIMITS = Limits(envelope_bytes=4 * MIB, elements=50_000, depth=16, text_bytes=64 * KIB)

_GRAMMAR = Grammar("receipt.xsd")
_SALT = re.compile(r"[0-9a-f]{32,128}", re.ASCII)
_REASON_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)

_OF_A_SUBMISSION = frozenset({ReceiptEvent.SUBMISSION_ACCEPTANCE, ReceiptEvent.SUBMISSION_REJECTION})
_OF_A_DELIVERY = frozenset({
    ReceiptEvent.CONTENT_CONSIGNMENT,
    ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
    ReceiptEvent.CONTENT_HANDOVER,
    ReceiptEvent.CONTENT_HANDOVER_FAILURE,
})  # fmt: skip
_OF_A_FAULT = frozenset(event for event in ReceiptEvent if event.endswith(("Failure", "Rejection")))


def write_receipt(receipt: Receipt, salt: str) -> bytes:
    """The bytes of `receipt`; `salt` is 128 random bits or more (up to 512) in lower-case hex.

    Raises:
        MalformedMessage: a value is none that receipt.xsd admits, or the event lacks what it needs.
        LimitExceeded: the receipt would exceed `RECEIPT_LIMITS`.
        Rejected: `text-not-carried`: a text holds a character that XML cannot carry unchanged.
        ValueError: `occurred_at` is naive.
    """
    if not _SALT.fullmatch(salt):
        raise MalformedMessage(
            "salt-malformed", "The salt is not 32 to 128 lower-case hexadecimal digits.", element="Salt"
        )
    for fault in _receipt_faults(receipt):
        raise fault
    reason = receipt.reason
    return _written(
        RECEIPT_LIMITS,
        f'<Receipt xmlns="{RECEIPT}">',
        _leaf("ReceiptId", receipt.receipt_id),
        _leaf("Event", receipt.event),
        _issuer(receipt.issuer),
        _leaf("MessageId", receipt.message_id),
        _leaf("Sender", receipt.sender),
        _leaf("Recipient", receipt.recipient),
        _leaf("DocumentId", receipt.document_id),
        _leaf("OccurredAt", instant_text(receipt.occurred_at)),
        f'<Reason code="{reason.code}">{escaped(reason.text)}</Reason>' if reason else "",
        _leaf("RecipientsDigest", receipt.recipients_digest),
        _leaf("RecipientsCount", receipt.recipients_count),
        _leaf("DirectoryVersion", receipt.directory_version),
        _leaf("Salt", salt),
        "</Receipt>",
    )


def read_receipt(data: bytes) -> Receipt:
    """The receipt that `data` is. The salt stays in the bytes: it serves their digest alone.

    Raises:
        LimitExceeded: `data` exceeds `RECEIPT_LIMITS`.
        MalformedMessage: `data` is no receipt, or the event lacks what it needs.
        MalformedCode: an agency code is none.
    """
    if len(data) <= RECEIPT_LIMITS.envelope_bytes:
        written = receipt_in(data)
        if written is not None and next(_receipt_faults(written), None) is None:
            return written
    root = parse(data, RECEIPT_LIMITS)
    _require_form(root, "Receipt")
    fields = Fields(root, RECEIPT)
    reason = fields.child("Reason")
    receipt = Receipt(
        receipt_id=fields.text("ReceiptId"),
        event=fields.value("Event", ReceiptEvent),
        issuer=_read_issuer(fields),
        message_id=fields.text("MessageId"),
        sender=fields.value("Sender", AgencyCode),
        recipient=fields.optional("Recipient", AgencyCode),
        document_id=fields.optional_text("DocumentId"),
        occurred_at=fields.value("OccurredAt", parse_instant),
        reason=Reason(attribute_of(reason.element, "code", str), text_of(reason.element)) if reason else None,
        recipients_digest=fields.optional_text("RecipientsDigest"),
        recipients_count=fields.optional("RecipientsCount", int),
        directory_version=fields.optional("DirectoryVersion", int),
    )
    for fault in _receipt_faults(receipt):
        fault.line = line_of(root)
        raise fault
    return receipt


def write_proof(digests: Sequence[Sha256Hex], *, issuer: Issuer, issued_at: datetime) -> bytes:
    """The unsigned proof of the receipts that have `digests`, in the order given.

    Raises:
        MalformedMessage: there is no digest, one stands twice or is none, or the issuer's name is none.
        LimitExceeded: the proof would exceed `PROOF_LIMITS` (some 40,000 receipts).
        Rejected: `text-not-carried`: the issuer's name holds a character that XML cannot carry unchanged.
        ValueError: `issued_at` is naive.
    """
    for fault in _proof_faults(digests, issuer):
        raise fault
    return _written(
        PROOF_LIMITS,
        f'<Proof xmlns="{RECEIPT}">',
        _issuer(issuer),
        _leaf("IssuedAt", instant_text(issued_at)),
        *(_leaf("Digest", digest) for digest in digests),
        "</Proof>",
    )


def parse_proof(data: bytes, *, require_signature: bool = False) -> Element:
    """The root of a proof whose form is right; its signature is not verified.

    Raises:
        LimitExceeded: `data` exceeds `PROOF_LIMITS`.
        MalformedMessage: `data` is no proof.
    """
    root = parse(data, PROOF_LIMITS)
    if root.tag == f"{{{RECEIPT}}}Proof":
        require_signature_last(root, root, required=require_signature)
    _require_form(root, "Proof")
    return root


def read_proof(root: Element) -> Proof:
    """The proof in a tree that `parse_proof` gave, or in the part of it that the signature covers.

    Raises:
        MalformedMessage: an element is missing or repeated, or a digest stands twice.
    """
    fields = Fields(root, RECEIPT)
    proof = Proof(
        issuer=_read_issuer(fields),
        issued_at=fields.value("IssuedAt", parse_instant),
        digests=fields.values("Digest", str),
    )
    for fault in _proof_faults(proof.digests, proof.issuer):
        fault.line = line_of(root)
        raise fault
    return proof


def known_proof(content: bytes, *, signed_bytes: int) -> Proof | None:
    """The proof in `content`, without its Signature, if that is to the byte as we write it; else `parse_proof` judges.

    It is then its own canonical form. With its Signature it has `signed_bytes`.
    """
    # No text is longer than the whole, and an element has four bytes at least.
    if signed_bytes > PROOF_LIMITS.text_bytes:
        return None
    proof = proof_in(content)
    return None if proof is None or next(_proof_faults(proof.digests, proof.issuer), None) else proof


def _receipt_faults(receipt: Receipt) -> Iterator[Rejected]:
    """What receipt.xsd says of single values, which the writer needs too, and which event needs which element."""
    yield from _label_faults("ReceiptId", receipt.receipt_id)
    yield from _issuer_faults(receipt.issuer)
    yield from _digest_faults("MessageId", receipt.message_id)
    if receipt.recipients_digest is not None:
        yield from _digest_faults("RecipientsDigest", receipt.recipients_digest)
    counts = {"RecipientsCount": receipt.recipients_count, "DirectoryVersion": receipt.directory_version}
    for name, count in counts.items():
        if count is not None and not 0 <= count < 2**63:
            yield MalformedMessage("count-malformed", f"{count} is no count.", element=name)
    if receipt.reason is not None and not _REASON_CODE.fullmatch(receipt.reason.code):
        yield MalformedMessage(
            "reason-code-malformed",
            f"{receipt.reason.code[:100]!r} is no code of a reason.",
            element="Reason",
            mend="Write words of a-z and 0-9 with one hyphen between two.",
        )
    event = receipt.event
    if event in _OF_A_SUBMISSION and receipt.recipient is not None:
        yield MalformedMessage("recipient-unexpected", f"{event} speaks of no single recipient.", element="Recipient")
    if event in _OF_A_DELIVERY and receipt.recipient is None:
        yield MalformedMessage("recipient-missing", f"{event} does not say at which recipient.", element="Recipient")
    if event in _OF_A_FAULT and receipt.reason is None:
        yield MalformedMessage("reason-missing", f"{event} does not say why.", element="Reason")


def _proof_faults(digests: Sequence[Sha256Hex], issuer: Issuer) -> Iterator[Rejected]:
    yield from _issuer_faults(issuer)
    if not digests:
        yield MalformedMessage("proof-empty", "The proof signs no receipt.", element="Digest")
    for digest in digests:
        yield from _digest_faults("Digest", digest)
    if len(set(digests)) < len(digests):
        yield MalformedMessage(
            "digest-repeated",
            "A digest stands twice in the proof.",
            element="Digest",
            mend="Give each receipt a salt of its own.",
        )


def _issuer_faults(issuer: Issuer) -> Iterator[Rejected]:
    yield from _label_faults("Issuer", issuer.name)
    if issuer.kind is IssuerKind.AGENCY:
        try:
            AgencyCode.parse(issuer.name)
        except MalformedCode as error:
            error.element = "Issuer"
            yield error


def _label_faults(name: str, label: str) -> Iterator[Rejected]:
    if not 1 <= len(label) <= 255:
        yield MalformedMessage(
            "label-malformed", f"{name} has {len(label)} characters.", element=name, mend="Give it 1 to 255."
        )


def _digest_faults(name: str, digest: str) -> Iterator[Rejected]:
    if not is_sha256_hex(digest):
        yield MalformedMessage(
            "digest-malformed",
            f"{digest[:100]!r} is no SHA-256.",
            element=name,
            mend="Write 64 lower-case hexadecimal digits.",
        )


def _require_form(root: Element, name: str) -> None:
    if root.tag != f"{{{RECEIPT}}}{name}":
        raise fault_at(
            root, f"not-a-{name.lower()}", f"The root is {root.tag!r}, not a {name} in the namespace {RECEIPT}."
        )
    _GRAMMAR.check(root)


def _written(limits: Limits, *pieces: str) -> bytes:
    data = encoded("".join(pieces))
    # Nothing is signed that every reader would refuse.
    if len(data) > limits.envelope_bytes:
        raise LimitExceeded(
            "message-too-large", f"It would have {len(data)} bytes; {limits.envelope_bytes} are allowed."
        )
    return data


def _leaf(name: str, value: object) -> str:
    """An element that holds the text of `value`; nothing for None."""
    return "" if value is None else f"<{name}>{escaped(str(value))}</{name}>"


def _issuer(issuer: Issuer) -> str:
    return f'<Issuer kind="{issuer.kind}">{escaped(issuer.name)}</Issuer>'


def _read_issuer(fields: Fields) -> Issuer:
    element = fields.required("Issuer").element
    return Issuer(attribute_of(element, "kind", IssuerKind), text_of(element))
