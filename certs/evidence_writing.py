"""Writing an evidence container from what a store holds of one message, byte for byte."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.errors import EvidenceRejected
from certs.evidence_directory import agency_names
from certs.evidence_format import MANIFEST, MEDIA_TYPE, MIMETYPE, FileKind, ListedFile, Manifest, write_manifest
from certs.evidence_summary import summary_of
from certs.historic_trust import STORED_LIMITS
from certs.keys import certificates_pem, fingerprint, parse_certificate
from certs.signature_form import decoded
from certs.signature_profile import ds
from certs.signed_directory import version_in
from certs.unsealing import claimed_identity
from runtime.blobs import OpenBlob
from runtime.files import writing
from schemas.codes import AgencyCode
from schemas.directory import DirectoryVersion
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.limits import MIB
from schemas.receipt_codec import PROOF_LIMITS, read_receipt
from schemas.receipts import IssuerKind, SignedReceipt
from schemas.times import VIETNAM
from schemas.xml import parse

_CHUNK: Final = 1 * MIB


@dataclass(frozen=True, slots=True)
class EvidenceAttachment:
    """An attachment: its bytes, or what opens the blob that holds them."""

    digest: Sha256Hex
    size: int
    content: bytes | Callable[[], AbstractContextManager[OpenBlob]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceContents:
    """What a store holds of one message.

    `envelope` is None where it was dropped (at `dropped_at`) or was never held; `directory` are signed versions in
    order, `authority` the certificates under which the store's owner believes the hub, the root first.
    """

    message_id: Sha256Hex
    gathered_by: str
    gathered_at: datetime
    envelope: bytes | None
    dropped_at: datetime | None
    receipts: Sequence[SignedReceipt]
    directory: Sequence[bytes]
    authority: Sequence[x509.Certificate]
    attachments: Sequence[EvidenceAttachment] = ()


def write_evidence(path: Path, contents: EvidenceContents) -> Manifest:
    """Put the container at `path`, durable when this returns; gives what it lists.

    Raises:
        EvidenceRejected: `evidence-empty`: there is neither an envelope nor a receipt.
        Unavailable: `storage-full`, or an attachment is gone (`blob-missing`).
    """
    if contents.envelope is None and not contents.receipts:
        raise EvidenceRejected(
            "evidence-empty", f"Nothing is held of the message {contents.message_id} that proves anything."
        )
    with writing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        packing = _Packing(archive, contents.gathered_at)
        packing.put(MIMETYPE, MEDIA_TYPE.encode(), stored=True)
        files = tuple(packing.add_all(contents))
        manifest = Manifest(
            message_id=contents.message_id,
            gathered_by=contents.gathered_by,
            gathered_at=contents.gathered_at,
            dropped_at=contents.dropped_at,
            files=files,
        )
        packing.put(MANIFEST, write_manifest(manifest))
    return manifest


def agencies_concerned(receipts: Sequence[SignedReceipt], envelope: bytes | None) -> set[AgencyCode]:
    """The agencies whose keys the directory must name: the sender's, and those that issued a receipt."""
    codes: set[AgencyCode] = set()
    if envelope is not None and (claimed := claimed_identity(envelope, STORED_LIMITS)) is not None:
        codes.add(claimed.sender)
    for signed in receipts:
        receipt = read_receipt(signed.receipt)
        codes.add(receipt.sender)
        if receipt.issuer.kind is IssuerKind.AGENCY:
            codes.add(AgencyCode.parse(receipt.issuer.name))
    return codes


def certificates_in(data: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates that the signature in an envelope or a proof brings along; none of them is believed for it."""
    root = parse(data, PROOF_LIMITS if len(data) <= PROOF_LIMITS.envelope_bytes else STORED_LIMITS)
    return tuple(parse_certificate(decoded(element)) for element in root.iter(ds("X509Certificate")))


@dataclass(frozen=True, slots=True)
class _Packing:
    archive: zipfile.ZipFile
    at: datetime

    def add_all(self, contents: EvidenceContents) -> Iterator[ListedFile]:
        """Every file but the mimetype and the manifest, as it is listed."""
        versions = [version_in(data) for data in contents.directory]
        yield self.add("summary.txt", FileKind.SUMMARY, summary_of(contents, agency_names(versions)).encode())
        if contents.envelope is not None:
            yield self.add("envelope.xml", FileKind.ENVELOPE, contents.envelope)
        for number, signed in enumerate(contents.receipts, 1):
            name = f"receipts/{number:04}-{read_receipt(signed.receipt).event}.xml"
            yield self.add(name, FileKind.RECEIPT, signed.receipt, proof=_digest(signed.proof))
        for proof in dict.fromkeys(signed.proof for signed in contents.receipts):
            yield self.add(f"proofs/{_digest(proof)}.xml", FileKind.PROOF, proof)
        yield self.add("authority.pem", FileKind.AUTHORITY, certificates_pem(contents.authority))
        for name, certificate in _signers(contents, versions).items():
            yield self.add(f"certificates/{name}.pem", FileKind.CERTIFICATE, certificates_pem([certificate]))
        for version, data in zip(versions, contents.directory, strict=True):
            yield self.add(f"directory/{version.number:06}.json", FileKind.DIRECTORY, data)
        for attachment in contents.attachments:
            yield self.add_attachment(attachment)

    def add(self, name: str, kind: FileKind, content: bytes, *, proof: Sha256Hex | None = None) -> ListedFile:
        self.put(name, content)
        return ListedFile(name, kind, len(content), _digest(content), proof)

    def add_attachment(self, attachment: EvidenceAttachment) -> ListedFile:
        name = f"attachments/{attachment.digest}"
        # Not deflated: what is large is mostly packed already.
        entry = self._entry(name, stored=True)
        entry.file_size = attachment.size
        with _opened(attachment.content) as source, self.archive.open(entry, "w") as file:
            shutil.copyfileobj(source, file, _CHUNK)
        return ListedFile(name, FileKind.ATTACHMENT, attachment.size, attachment.digest)

    def put(self, name: str, content: bytes, *, stored: bool = False) -> None:
        self.archive.writestr(self._entry(name, stored=stored), content)

    def _entry(self, name: str, *, stored: bool) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(name, self.at.astimezone(VIETNAM).timetuple()[:6])
        entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        return entry


@contextmanager
def _opened(content: bytes | Callable[[], AbstractContextManager[OpenBlob]]) -> Iterator[BytesIO | OpenBlob]:
    if isinstance(content, bytes):
        yield BytesIO(content)
        return
    with content() as blob:
        yield blob


def _signers(contents: EvidenceContents, versions: Sequence[DirectoryVersion]) -> dict[Sha256Hex, x509.Certificate]:
    """What signed here, and what may have been issued it: by fingerprint, so that a person can look at it."""
    signed = [signed.proof for signed in contents.receipts]
    if contents.envelope is not None:
        signed.append(contents.envelope)
    found = {}
    for data in dict.fromkeys(signed):
        try:
            found.update({fingerprint(certificate): certificate for certificate in certificates_in(data)})
        except Rejected:
            continue  # an envelope that was refused for its form
    anchors = [parse_certificate(anchor.certificate) for version in versions for anchor in version.anchors]
    return found | {fingerprint(anchor): anchor for anchor in anchors}


def _digest(content: bytes) -> Sha256Hex:
    return hashlib.sha256(content).hexdigest()
