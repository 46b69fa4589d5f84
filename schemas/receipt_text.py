"""Receipts and proofs as text: the form in which we write them, by which we know our own again.

Receipts are written as text that is C14N already (`schemas.receipt_codec`), so one regular expression says whether
bytes are exactly that, and finds the values. It admits less than receipt.xsd does: what it does not know, the parser
and the XSD judge. Each document brings its sender three receipts, and a match takes a sixth of the parser's time.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.codes import AgencyCode
from schemas.errors import MalformedCode
from schemas.instants import parse_instant
from schemas.namespaces import RECEIPT
from schemas.receipts import Issuer, IssuerKind, Proof, Reason, Receipt, ReceiptEvent
from schemas.xml import NAMESPACE_DECLARATIONS

#: Neither markup, nor what would have to be escaped, nor what XML does not carry or might change: no control characters
#: and no line breaks.
_PLAIN: Final = "[\x20-\x25\x27-\x3b=\x3f-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"

#: Below 2^63 in any case.
_COUNT: Final = "0|[1-9][0-9]{0,17}"
_SHA256: Final = "[0-9a-f]{64}"
_INSTANT: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"

_EVENTS: Final = {event.value: event for event in ReceiptEvent}
_KINDS: Final = {kind.value: kind for kind in IssuerKind}


def _element(name: str, content: str) -> str:
    return f"<{name}>(?P<{name}>{content})</{name}>"


#: As in receipt.xsd, in its order.
_WRITTEN: Final = re.compile(
    f'<Receipt xmlns="{re.escape(RECEIPT)}">'
    f"{_element('ReceiptId', _PLAIN + '{1,255}')}"
    f"{_element('Event', '|'.join(_EVENTS))}"
    f'<Issuer kind="(?P<kind>{"|".join(_KINDS)})">(?P<Issuer>{_PLAIN}{{1,255}})</Issuer>'
    f"{_element('MessageId', _SHA256)}"
    f"{_element('Sender', _PLAIN + '+')}"
    f"(?:{_element('Recipient', _PLAIN + '+')})?"
    f"(?:{_element('DocumentId', _PLAIN + '*')})?"
    f"{_element('OccurredAt', _INSTANT)}"
    f'(?:<Reason code="(?P<code>[a-z0-9-]{{1,100}})">(?P<Reason>{_PLAIN}*)</Reason>)?'
    f"(?:{_element('RecipientsDigest', _SHA256)})?"
    f"(?:{_element('RecipientsCount', _COUNT)})?"
    f"(?:{_element('DirectoryVersion', _COUNT)})?"
    "<Salt>[0-9a-f]{32,128}</Salt></Receipt>"
)


_DIGESTS_BETWEEN: Final = "</Digest><Digest>"
_PROOF: Final = re.compile(
    f'<Proof xmlns="{re.escape(RECEIPT)}">'
    f'<Issuer kind="(?P<kind>{"|".join(_KINDS)})">(?P<Issuer>{_PLAIN}{{1,255}})</Issuer>'
    f"{_element('IssuedAt', _INSTANT)}"
    f"<Digest>(?P<digests>{_SHA256}(?:{_DIGESTS_BETWEEN}{_SHA256})*)</Digest></Proof>"
)


def receipt_in(data: bytes) -> Receipt | None:
    """The receipt, if `data` is one to the byte as we write it; None says nothing against it.

    Whether its event has what it needs, the caller asks.
    """
    try:
        text = data.decode()
        found = _WRITTEN.fullmatch(text) if text.count("xmlns") <= NAMESPACE_DECLARATIONS else None
        return None if found is None else _receipt(found)
    except (UnicodeDecodeError, ValueError, MalformedCode):
        # The parser tells where.
        return None


def _receipt(found: re.Match[str]) -> Receipt:
    recipient, count, version = found["Recipient"], found["RecipientsCount"], found["DirectoryVersion"]
    return Receipt(
        receipt_id=found["ReceiptId"],
        event=_EVENTS[found["Event"]],
        issuer=Issuer(_KINDS[found["kind"]], found["Issuer"]),
        message_id=found["MessageId"],
        sender=AgencyCode(found["Sender"]),
        recipient=None if recipient is None else AgencyCode(recipient),
        document_id=found["DocumentId"],
        occurred_at=parse_instant(found["OccurredAt"]),
        reason=None if found["code"] is None else Reason(found["code"], found["Reason"]),
        recipients_digest=found["RecipientsDigest"],
        recipients_count=None if count is None else int(count),
        directory_version=None if version is None else int(version),
    )


def proof_in(data: bytes) -> Proof | None:
    """The proof, if `data` is one to the byte as we write it, without its Signature; None says nothing against it.

    Whether a digest stands twice, the caller asks.
    """
    try:
        found = _PROOF.fullmatch(data.decode())
        if found is None:
            return None
        return Proof(
            issuer=Issuer(_KINDS[found["kind"]], found["Issuer"]),
            issued_at=parse_instant(found["IssuedAt"]),
            digests=tuple(found["digests"].split(_DIGESTS_BETWEEN)),
        )
    except ValueError:
        # The parser tells where; bytes that are not UTF-8 are such an error too.
        return None
