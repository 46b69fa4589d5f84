"""Receipts: who attests what happened to which message, with the event names of ETSI EN 319 522-1.

A receipt is XML (namespace `urn:congvan:receipt:1`). Receipts that commit together share one signature: a *proof*
lists the SHA-256 digests of the receipts, each salted by a random text of its own, so that one
receipt can be shown with its proof and says nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex


class ReceiptEvent(StrEnum):
    """The events that are receipted, under their names in ETSI EN 319 522-1."""

    SUBMISSION_ACCEPTANCE = "SubmissionAcceptance"
    SUBMISSION_REJECTION = "SubmissionRejection"
    CONTENT_CONSIGNMENT = "ContentConsignment"
    CONTENT_CONSIGNMENT_FAILURE = "ContentConsignmentFailure"
    CONTENT_HANDOVER = "ContentHandover"
    CONTENT_HANDOVER_FAILURE = "ContentHandoverFailure"
    RELAY_ACCEPTANCE = "RelayAcceptance"
    RELAY_REJECTION = "RelayRejection"
    RELAY_FAILURE = "RelayFailure"


class IssuerKind(StrEnum):
    """Whose signature a receipt needs: the hub's own key, or a key that may sign for an agency."""

    HUB = "hub"
    AGENCY = "agency"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The party that the event happened at: a hub by its name, an agency by its code."""

    kind: IssuerKind
    name: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was refused or failed: a stable code (that of the problem document) and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One event in the life of a message.

    `recipient` is absent from the events of a submission. `recipients_digest` and `directory_version` stand
    on a SubmissionAcceptance: SHA-256 over the resolved recipient codes (sorted, one a line, LF) and the
    version they were resolved in. `recipients_count` is their number. `occurred_at` is UTC, to the microsecond.
    """

    receipt_id: str
    event: ReceiptEvent
    issuer: Issuer
    message_id: Sha256Hex
    sender: AgencyCode
    recipient: AgencyCode | None = None
    document_id: str | None = None
    occurred_at: datetime
    reason: Reason | None = None
    recipients_digest: Sha256Hex | None = None
    recipients_count: int | None = None
    directory_version: int | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What one signature of `issuer` covers: the SHA-256 of each receipt's bytes. `issued_at` is UTC."""

    issuer: Issuer
    issued_at: datetime
    digests: tuple[Sha256Hex, ...]


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt's bytes and the bytes of the proof that signs it: all that a verifier needs, with anchors.

    `receipt` is the XML of `schemas.receipt_codec.write_receipt` (it holds the salt), `proof` the signed list of
    digests.
    """

    receipt: bytes
    proof: bytes
