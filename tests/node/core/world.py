"""The world around a node under test: an authority, a hub's keys, agencies with keys, a signed directory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Authority
from certs.keys import PublicKey, new_p256_key, write_certificates, write_key
from certs.sealing import Sealed, SealingKey, seal
from certs.signed_directory import sign_version, version_digest
from node.usecases.identity import NodeIdentity
from schemas.codes import AgencyCode
from schemas.directory import (
    NO_PREVIOUS,
    AgencyEntry,
    AnchorEntry,
    ConnectionEntry,
    DirectoryVersion,
    EntryStatus,
)
from schemas.envelope import CONTENT_ID_PREFIX, AttachmentSize, Envelope, Extension
from schemas.message import (
    Business,
    BusinessType,
    Document,
    DocumentCode,
    DocumentType,
    Organ,
    OtherInfo,
    Priority,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StatusCode,
    StatusMessage,
    TraceHeader,
)
from schemas.times import DateText, TimestampText

HUB = "hub.example"
#: The node under test serves these two; the others are its peers.
OWN = "own"
H23, H23_12 = AgencyCode("H23"), AgencyCode("H23.12")
G22, H31 = AgencyCode("G22"), AgencyCode("H31")
OLDER_H31 = AgencyCode("000.00.00.H31")


class World:
    """Keys and the directory; `now` is when all of it was made."""

    def __init__(self, folder: Path) -> None:
        self.now = datetime.now(UTC)
        self.authority = Authority.create(folder / "authority", "Test", now=self.now)
        self.stranger = Authority.create(folder / "stranger", "Stranger", now=self.now)
        self.keys = {name: self.new_seal_key(name) for name in (OWN, "g22", "h31")}
        self.receipts_key = self._hub_key(self.authority)
        self.forged_receipts_key = self._hub_key(self.stranger)
        self._directory_key = self._key(lambda key: self.authority.issue_directory(key, HUB, self.now))
        server = new_p256_key()
        write_key(folder / "server.key", server, None)
        chain = self.authority.issue_server(server.public_key(), ["127.0.0.1"], self.now)
        write_certificates(folder / "server.pem", chain)
        write_key(folder / "seal.key", self.keys[OWN].private_key, None)
        write_certificates(folder / "seal.pem", self.keys[OWN].certificates)
        self.folder = folder
        self.versions: list[bytes] = []
        self.publish(
            agencies=[
                AgencyEntry(code=H23, name="UBND tỉnh Hải Dương", connection=OWN),
                AgencyEntry(code=H23_12, name="Sở Tài chính tỉnh Hải Dương", connection=OWN),
                AgencyEntry(code=G22, name="Văn phòng Chính phủ", connection="g22"),
                AgencyEntry(code=H31, name="UBND tỉnh Hưng Yên", older_codes=(OLDER_H31,), connection="h31"),
            ],
            connections=[self.connection(name) for name in self.keys],
            anchors=[AnchorEntry(certificate=self.authority.root.public_bytes(Encoding.DER), prefixes=("",))],
        )

    def new_seal_key(self, connection: str, *, strange: bool = False) -> SealingKey:
        authority = self.stranger if strange else self.authority
        return self._key(lambda key: authority.issue_seal(key, connection, [], self.now))

    def _hub_key(self, authority: Authority) -> SealingKey:
        return self._key(lambda key: authority.issue_receipts(key, HUB, self.now))

    def _key(self, issue: Callable[[PublicKey], tuple[x509.Certificate, ...]]) -> SealingKey:
        key = new_p256_key()
        return SealingKey(key, issue(key.public_key()))

    def connection(self, name: str, *others: SealingKey) -> ConnectionEntry:
        keys = others or (self.keys[name],)
        certificates = tuple(key.certificate.public_bytes(Encoding.DER) for key in keys)
        return ConnectionEntry(connection=name, name=name, seal_certificates=certificates)

    def publish(
        self,
        *,
        agencies: Sequence[AgencyEntry] = (),
        connections: Sequence[ConnectionEntry] = (),
        anchors: Sequence[AnchorEntry] = (),
    ) -> int:
        """Sign the directory's next version; gives its number."""
        version = DirectoryVersion(
            number=len(self.versions) + 1,
            previous=version_digest(self.versions[-1]) if self.versions else NO_PREVIOUS,
            issued_at=self.now,
            expires_at=self.now + timedelta(days=30),
            agencies=tuple(agencies),
            connections=tuple(connections),
            anchors=tuple(anchors),
        )
        self.versions.append(sign_version(version, self._directory_key))
        return version.number

    def identity(self) -> NodeIdentity:
        return NodeIdentity(
            connection=OWN,
            hub=HUB,
            hub_authority=self.hub_authority,
            seal=self.keys[OWN],
            enrolled_codes=(H23, H23_12),
        )

    @property
    def hub_authority(self) -> tuple[x509.Certificate, ...]:
        return (self.authority.root,)

    def sealed(self, envelope: Envelope, *, key: SealingKey | None = None) -> Sealed:
        """An envelope sealed by its sender's key, or by another."""
        connections = {G22: "g22", H31: "h31", H23: OWN, H23_12: OWN}
        return seal(envelope, key or self.keys[connections[envelope.sender]], self.now)


def suspended(code: AgencyCode, connection: str) -> AgencyEntry:
    return AgencyEntry(code=code, name="(suspended)", connection=connection, status=EntryStatus.SUSPENDED)


def document(
    sender: AgencyCode = H23,
    *recipients: AgencyCode,
    document_id: str = "H23,2026/11/21,61/UBND-VP",
    priority: Priority = Priority.NORMAL,
    subject: str = "V/v báo cáo kết quả gửi, nhận văn bản điện tử",
) -> Document:
    """A plain document from `sender`, to G22 if nobody is named."""
    return Document(
        sender=Organ(organ_id=sender, organ_name="Cơ quan gửi"),
        recipients=tuple(Organ(organ_id=code) for code in recipients or (G22,)),
        document_id=document_id,
        code=DocumentCode(number="61", notation="UBND-VP"),
        promulgation=PromulgationInfo(place="Hải Dương", date=DateText("2026/11/21")),
        document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
        subject=subject,
        content="Báo cáo",
        signer=SignerInfo(full_name="Nguyễn Thị Lan"),
        other_info=OtherInfo(priority=priority),
        trace=(),
    )


def recall(original: Document, *, document_id: str = "H23,2026/11/22,62/UBND-VP") -> Document:
    """A recall of `original` by its sender, to the same recipients."""
    return replace(
        original,
        document_id=document_id,
        response_for=(ResponseFor(organ_id=original.sender.organ_id, document_id=original.document_id),),
        business=Business(type=BusinessType.RECALL, reason="Thu hồi", paper=False),
        references=(),
    )


def status(
    sender: AgencyCode,
    of: Document,
    code: StatusCode = StatusCode.ACCEPTED,
    *,
    text: str = "Đã tiếp nhận",
    timestamp: str = "2026/11/21 16:05:10",
) -> StatusMessage:
    return StatusMessage(
        sender=Organ(organ_id=sender),
        response_for=ResponseFor(organ_id=of.sender.organ_id, document_id=of.document_id, code="61/UBND-VP"),
        status_code=code,
        description=text,
        timestamp=TimestampText(timestamp),
    )


def envelope(
    message: Document | StatusMessage,
    *attachments: bytes,
    about: Sequence[str] = (),
    submission_id: str = "3f6b6f0e-0000-4000-8000-000000000001",
) -> Envelope:
    """`message` as a peer would send it, with `attachments` named by their content."""
    sizes = {digest_of(content): len(content) for content in attachments}
    if isinstance(message, Document):
        references = tuple(
            Reference(
                content_id=CONTENT_ID_PREFIX + digest_of(content),
                content_type="application/pdf",
                attachment_name=f"tài liệu {number}.pdf",
                description="",
            )
            for number, content in enumerate(attachments, 1)
        )
        trace = TraceHeader(organ_id=message.sender.organ_id, timestamp=TimestampText("2026/11/21 15:00:00"))
        message = replace(message, references=references, trace=(trace,))
    extension = Extension(
        submission_id=submission_id,
        about=tuple(about),
        attachment_sizes=tuple(AttachmentSize(digest, size) for digest, size in sizes.items()),
    )
    return Envelope(message, extension)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
