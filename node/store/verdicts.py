"""What guards said of a message, as its row in the outbox or of a hand-over keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

from adapters.pdf_signatures import PdfSignature
from schemas.envelope import Sha256Hex
from schemas.instants import instant_text, parse_instant


class VerdictKind(StrEnum):
    PASSED = "passed"
    REFUSED = "refused"
    WAITS = "waits"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardVerdict:
    """What one guard said at `at`: the rule's `code` where it did not let the message pass, `reason` in a sentence.

    `signatures` are those that it found in attachments, by their digest.
    """

    guard: str
    verdict: VerdictKind
    at: datetime
    code: str | None = None
    reason: str | None = None
    signatures: Mapping[Sha256Hex, tuple[PdfSignature, ...]] = field(default_factory=dict)


class Verdicts(TypeDecorator[tuple[GuardVerdict, ...]]):
    """A round of guards in one column: it is written with its row, and costs no statement of its own."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Sequence[GuardVerdict] | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return [_written(one) for one in value] if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[GuardVerdict, ...]:  # noqa: ARG002 - as above
        return tuple(_read(one) for one in value or ())


def round_values(verdicts: Sequence[GuardVerdict]) -> dict[str, object]:
    """What an update writes of a round; where no guard was asked, what is on record stays."""
    return {"verdicts": verdicts} if verdicts else {}


def signatures_in(verdicts: Sequence[GuardVerdict]) -> dict[Sha256Hex, tuple[PdfSignature, ...]]:
    """All signatures that a round found, by the digest of their attachment."""
    return {digest: found for verdict in verdicts for digest, found in verdict.signatures.items()}


def _written(verdict: GuardVerdict) -> dict[str, Any]:
    said: dict[str, Any] = {"guard": verdict.guard, "verdict": verdict.verdict, "at": instant_text(verdict.at)}
    if verdict.code is not None:
        said["code"] = verdict.code
    if verdict.reason is not None:
        said["reason"] = verdict.reason
    if verdict.signatures:
        said["signatures"] = {
            digest: [_written_signature(one) for one in found] for digest, found in verdict.signatures.items()
        }
    return said


def _read(said: Mapping[str, Any]) -> GuardVerdict:
    return GuardVerdict(
        guard=said["guard"],
        verdict=VerdictKind(said["verdict"]),
        at=parse_instant(said["at"]),
        code=said.get("code"),
        reason=said.get("reason"),
        signatures={
            digest: tuple(_read_signature(one) for one in found) for digest, found in said.get("signatures", {}).items()
        },
    )


def _written_signature(signature: PdfSignature) -> dict[str, Any]:
    return asdict(signature) | {"signed_at": instant_text(signature.signed_at) if signature.signed_at else None}


def _read_signature(said: Mapping[str, Any]) -> PdfSignature:
    return PdfSignature(**{**said, "signed_at": parse_instant(said["signed_at"]) if said["signed_at"] else None})
