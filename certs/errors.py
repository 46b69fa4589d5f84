"""What can be wrong with keys, certificates and signatures: always the thing handed in, so all are `Rejected`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from schemas.errors import MalformedMessage, Rejected
from schemas.xml import Element, element_path, line_of

#: The codes of `schemas.signature_place`, and the rules of ours that they stand for.
_RULES_OF_PLACE: Final = {
    "signature-missing": "missing",
    "signature-not-xmldsig": "missing",
    "signature-repeated": "doubled",
    "signature-misplaced": "misplaced",
}

_SIGN_ANEW: Final = "Sign anew, with software that follows Congvan's signature profile."


class KeyRejected(Rejected):
    """A key, a key file, a certificate file or a certificate request that must not be used. Codes begin with `key-`."""


class SealRejected(Rejected):
    """An envelope whose seal does not hold, or whose signer may not speak for the agency in From.

    The codes, in the order in which they are judged:

    ================================ ==============================================================
    `seal-missing`                   no Signature in edXMLHeader
    `seal-doubled`                   more than one Signature
    `seal-misplaced`                 a Signature elsewhere than last in edXMLHeader
    `seal-form`                      an element, attribute or order that a seal does not have
    `seal-object`                    an Object other than the one with SignedProperties
    `seal-algorithm`                 an algorithm or transform that is not on the list
    `seal-references`                other references than the envelope's and SignedProperties'
    `seal-key-info`                  no certificate that is the one signed as the signer's
    `seal-key`                       a key too weak, or of a kind that the algorithm does not fit
    `seal-signature`                 SignatureValue does not verify
    `seal-digest`                    what was signed has been changed
    `agency-unknown`                 the directory does not know the code in From
    `agency-suspended`               it knows it as suspended
    `agency-retired`                 it knows it as retired
    `seal-certificate-expired`       a certificate of the path had expired at the time asked for
    `seal-certificate-not-yet-valid` a certificate of the path was not valid yet
    `seal-certificate-usage`         a certificate not made for seals (TLS, CA, receipts, directory)
    `seal-certificate-untrusted`     no path to any trust anchor
    `anchor-prefix`                  a path, but to an anchor that does not hold for the code
    `signer-not-bound`               a certificate that the directory does not name for the agency
    ================================ ==============================================================
    """


class ReceiptRejected(Rejected):
    """A receipt that proves nothing. Codes: `receipt-…`, and for its proof's signature a seal's, as `proof-…`."""


class DirectoryRejected(Rejected):
    """A directory version that must not be applied, for its signature or its place. Codes begin with `directory-`."""


class EvidenceRejected(Rejected):
    """A file that is no evidence container, or a part of one that does not hold. Codes begin with `evidence-`."""


class TokenRejected(Rejected):
    """A text that is no enrolment token, or one of which a part is missing. Codes begin with `token-`."""


@dataclass(frozen=True, slots=True)
class SignatureFaults:
    """Makes the errors of one kind of signature: of one class, their codes beginning with one word."""

    family: type[Rejected]
    subject: str

    def __call__(self, rule: str, message: str, at: Element | None = None, *, mend: str = _SIGN_ANEW) -> Rejected:
        return self.family(
            self.code(rule),
            message,
            element=None if at is None else element_path(at),
            line=None if at is None else line_of(at),
            mend=mend,
        )

    @contextmanager
    def of_place(self) -> Iterator[None]:
        """Says what the parsers find of a Signature's place in the words of this kind of signature."""
        try:
            yield
        except MalformedMessage as error:
            if error.code not in _RULES_OF_PLACE:
                raise
            rule = _RULES_OF_PLACE[error.code]
            raise self.family(
                self.code(rule), error.message, element=error.element, line=error.line, mend=error.mend
            ) from error

    def code(self, rule: str) -> str:
        return f"{self.subject}-{rule}"

    def named(self, code: str, message: str, *, mend: str, element: str | None = None) -> Rejected:
        """An error of the same class whose code says all by itself."""
        return self.family(code, message, element=element, mend=mend)


SEAL_FAULTS = SignatureFaults(SealRejected, "seal")
PROOF_FAULTS = SignatureFaults(ReceiptRejected, "proof")
DIRECTORY_FAULTS = SignatureFaults(DirectoryRejected, "directory")
