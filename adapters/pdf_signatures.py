"""What is known of a signature inside a PDF file, for software and people to see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfSignature:
    """One signature of a PDF file, as it was when the node looked.

    `signer` is the subject of the certificate, `None` where it could not be read; `signed_at` the time that the signer
    or a time stamp authority gives. `intact`: the signed bytes are those that were signed, and the signature is that
    of the certificate. `covers_whole_file`: nothing was added behind what it covers. `modified`: something was added
    that a signed document may not be given (annotations, pages; further signatures may). `trusted`: the certificate
    leads to one of the trust anchors of the settings. `fault` says in a sentence what is wrong, if anything.
    """

    field: str
    signer: str | None
    signed_at: datetime | None
    intact: bool
    covers_whole_file: bool
    modified: bool
    trusted: bool
    fault: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it stands for the file as it is, whoever signed."""
        return self.intact and not self.modified


def signature_words(signature: PdfSignature) -> str:
    """The signature in one line, for people who decide by it."""
    found = [
        "không hợp lệ / not valid" if not signature.intact else "nguyên vẹn / intact",
        "đáng tin / trusted" if signature.trusted else "CHƯA đáng tin / NOT trusted",
    ]
    if signature.modified:
        found.append("ĐÃ BỊ SỬA sau khi ký / MODIFIED after signing")
    elif not signature.covers_whole_file:
        found.append("có phần thêm sau / something was added behind it")
    when = f", {signature.signed_at:%Y-%m-%d %H:%M:%S %z}" if signature.signed_at else ""
    fault = f" ({signature.fault})" if signature.fault else ""
    return f"{signature.signer or 'người ký không rõ / unknown signer'}{when}: {', '.join(found)}{fault}"
