"""Where forged seals are made: authorities, keys and certificates of every kind, and tools to sign what none should."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from certs.authority import Authority, Lifetimes
from certs.certificate_profiles import Chain
from certs.keys import PrivateKey, fingerprint, new_p256_key, new_rsa_key
from certs.sealing import SealingKey, seal
from certs.signature_profile import XADES, ds
from certs.trust import SignerBinding, Trust, TrustAnchor
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.envelope import AttachmentSize, Envelope, Extension
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
    SignerInfo,
    StaffInfo,
    TraceHeader,
)
from schemas.namespaces import DS, EXTENSION, QCVN
from schemas.times import DateText, TimestampText
from schemas.xml import Element

#: When everything here is judged.
AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)

G22, H23, H31, H99 = (AgencyCode(code) for code in ("G22", "H23", "H31", "H99"))

NAMES = {"ds": DS, "xades": XADES, "q": QCVN, "cv": EXTENSION}

RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"

ATTACHMENT = hashlib.sha256(b"%PDF-1.7 the document's own bytes").hexdigest()


def envelope_from(sender: AgencyCode = G22, subject: str = "V/v gửi, nhận văn bản điện tử") -> Envelope:
    """A small document with something in most of its elements."""
    document = Document(
        sender=Organ(organ_id=sender, organ_name="Văn phòng Chính phủ", email="vanthu@example.gov.vn"),
        recipients=(
            Organ(organ_id=H23, organ_name="UBND tỉnh Hải Dương"),
            Organ(organ_id=AgencyCode("H23.12"), organ_name="Sở Nội vụ"),
        ),
        document_id="G22,2026/11/21,6101/VPCP-KSTT",
        code=DocumentCode(number="6101", notation="VPCP-KSTT"),
        promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/21")),
        document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
        subject=subject,
        content="Đề nghị các địa phương báo cáo trước ngày 30 tháng 11",
        signer=SignerInfo(competence="KT. BỘ TRƯỞNG, CHỦ NHIỆM", position="Phó Chủ nhiệm", full_name="Nguyễn Văn Án"),
        due_date=DateText("2026/11/30"),
        to_places=("Như trên", "Lưu: VT, KSTT"),
        other_info=OtherInfo(priority=Priority.URGENT, page_amount=2, appendixes=("Phụ lục I",)),
        steering_type=1,
        trace=(TraceHeader(organ_id=sender, timestamp=TimestampText.of(AT)),),
        business=Business(
            type=BusinessType.NEW,
            reason="Gửi mới",
            paper=False,
            staff=StaffInfo(
                department="Văn thư", staff="Trần Thị Bình", email="binh@example.gov.vn", mobile="0900000000"
            ),
        ),
        references=(
            Reference(
                content_id=f"sha256-{ATTACHMENT}",
                content_type="application/pdf",
                attachment_name="6101_VPCP_KSTT.pdf",
                description="Bản chính",
            ),
        ),
    )
    return Envelope(
        document, Extension(submission_id="s-6101", attachment_sizes=(AttachmentSize(digest=ATTACHMENT, size=33),))
    )


class Workshop:
    """Authorities that are trusted (one for H23 alone, one with its issuing half expired), one that is not, and keys.

    Every certificate made by `key_of` is bound to its agency, so that an attack fails for its own reason and not
    because the directory does not know the certificate.
    """

    def __init__(self, key: PrivateKey | None = None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.national = Authority.create(Path(folder) / "national", "Trục quốc gia", now=AT)
            self.provincial = Authority.create(Path(folder) / "provincial", "Trục tỉnh Hải Dương", now=AT)
            self.lapsed = Authority.create(
                Path(folder) / "lapsed",
                "Lapsed",
                now=AT - timedelta(days=2),
                lifetimes=Lifetimes(issuing=timedelta(days=1)),
            )
            self.foreign = Authority.create(Path(folder) / "foreign", "Somebody else's", now=AT)
        self._bindings: dict[AgencyCode, tuple[EntryStatus, set[str]]] = {
            G22: (EntryStatus.ACTIVE, set()),
            H23: (EntryStatus.ACTIVE, set()),
            H31: (EntryStatus.SUSPENDED, set()),
        }
        self.g22 = self.key_of(G22, self.national, key or new_rsa_key())
        self.good = seal(envelope_from(), self.g22, AT).data

    @property
    def trust(self) -> Trust:
        return Trust(
            anchors=(
                TrustAnchor(self.national.root, ("",)),
                TrustAnchor(self.lapsed.root, ("",)),
                TrustAnchor(self.provincial.root, ("H23",)),
            ),
            binding_of=self.binding_of,
        )

    def binding_of(self, code: AgencyCode) -> SignerBinding | None:
        if code not in self._bindings:
            return None
        status, fingerprints = self._bindings[code]
        return SignerBinding(code, status, frozenset(fingerprints))

    def key_of(
        self, code: AgencyCode, authority: Authority, key: PrivateKey | None = None, *, now: datetime = AT
    ) -> SealingKey:
        """A key that may seal for `code`, certified by `authority` at the time `now`."""
        private = key or new_p256_key()
        chain = authority.issue_seal(private.public_key(), f"node-{code}", [code], now)
        self.bind(code, chain)
        return SealingKey(private, chain)

    def bind(self, code: AgencyCode, chain: Chain) -> None:
        """Let the directory say that the leaf of `chain` may seal for `code`, if it knows the code."""
        if code in self._bindings:
            self._bindings[code][1].add(fingerprint(chain[0]))

    def tree(self) -> Element:
        """The good message, to be changed at will."""
        return etree.fromstring(self.good)

    def forged(self) -> Element:
        """What the attacker wants to be read: another subject, and no signature."""
        root = etree.fromstring(self.good)
        first(root, "q:Subject").text = "V/v chuyển tiền cho kẻ tấn công"
        signature = first(root, "ds:Signature")
        header = signature.getparent()
        assert header is not None
        header.remove(signature)
        return root

    def original(self) -> Element:
        """The good message without its signature: what the digest is of."""
        root = self.tree()
        signature = first(root, "ds:Signature")
        header = signature.getparent()
        assert header is not None
        header.remove(signature)
        return root


def sealed_with(root: Element, chain: Chain, key: PrivateKey) -> bytes:
    """The message sealed anew with any key and chain, also such as our own sealing refuses to use."""
    signature = first(root, "ds:Signature")
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    signature[0][1].set("Algorithm", RSA_SHA256 if is_rsa else ECDSA_SHA256)
    show_chain(signature, chain)
    certificate_digest = first(signature, "xades:CertDigest")
    certificate_digest[1].text = base64.b64encode(chain[0].fingerprint(hashes.SHA256())).decode()
    return resigned(root, key)


def show_chain(signature: Element, chain: Chain) -> None:
    """Let KeyInfo bring these certificates and no others."""
    data = first(signature, "ds:X509Data")
    for element in list(data):
        data.remove(element)
    for certificate in chain:
        shown = etree.SubElement(data, ds("X509Certificate"))
        shown.text = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def first(root: Element, name: str) -> Element:
    """The first element of that prefixed name in the tree."""
    prefix, _, local = name.partition(":")
    return next(root.iter(f"{{{NAMES[prefix]}}}{local}"))


def written(root: Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def resigned(
    root: Element,
    key: PrivateKey,
    *,
    algorithm: hashes.HashAlgorithm | None = None,
    digest: Callable[[bytes], bytes] = lambda content: hashlib.sha256(content).digest(),
) -> bytes:
    """The message with the digests and the signature value that its SignedInfo asks for, whatever that says.

    So nothing but the rule under attack stands in the way.
    """
    signature = first(root, "ds:Signature")
    properties, content = first(signature, "xades:SignedProperties"), etree.fromstring(etree.tostring(root))
    enveloped = first(content, "ds:Signature")
    parent = enveloped.getparent()
    if parent is not None:
        parent.remove(enveloped)
    for reference in signature[0].findall(ds("Reference")):
        signed = properties if reference.get("URI") else content
        value = reference.find(ds("DigestValue"))
        assert value is not None
        value.text = base64.b64encode(digest(canonical(signed))).decode()
    method = algorithm or hashes.SHA256()
    value = first(signature, "ds:SignatureValue")
    value.text = base64.b64encode(_signature(key, canonical(signature[0]), method)).decode()
    return written(root)


def canonical(element: Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def _signature(key: PrivateKey, message: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), algorithm)
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(algorithm)))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def unrestricted_chain(
    issuer: Chain,
    issuer_key: PrivateKey,
    key: PrivateKey,
    *,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
    name: str = "G22",
    until: timedelta = timedelta(days=365),
) -> Chain:
    """A chain whose leaf says just what the caller wants, which no profile of ours would."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(AT - timedelta(days=1))
        .not_valid_after(AT + until)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return (builder.sign(issuer_key, hashes.SHA256()), *issuer)
