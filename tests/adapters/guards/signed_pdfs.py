"""PDF files signed at run time, by people with certificates of an authority of the tests' own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter, copy_into_new_writer
from pyhanko.sign.signers import PdfSignatureMetadata, PdfTimeStamper, SimpleSigner, sign_pdf
from pyhanko.sign.timestamps import DummyTimeStamper

from certs.keys import new_p256_key


@dataclass(frozen=True)
class Signatory:
    """An authority, and one person to whom it gave a certificate."""

    authority: x509.Certificate
    signer: SimpleSigner

    @classmethod
    def make(cls, folder: Path, name: str) -> Self:
        now = datetime.now(UTC)
        root_key, key = new_p256_key(), new_p256_key()
        root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA {name}")])

        def builder(subject: x509.Name, public_key: object) -> x509.CertificateBuilder:
            return (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(root_name)
                .public_key(public_key)  # type: ignore[arg-type] - a P-256 key
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - timedelta(days=1))
                .not_valid_after(now + timedelta(days=2))
            )

        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=True,
            **dict.fromkeys(
                ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"), False
            ),
            encipher_only=False,
            decipher_only=False,
        )
        authority = (
            builder(root_name, root_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(root_key, hashes.SHA256())
        )
        certificate = (
            builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
            .add_extension(usage, critical=True)
            .sign(root_key, hashes.SHA256())
        )
        file = folder / f"{name}.p12"
        file.write_bytes(
            pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, [authority], NoEncryption())
        )
        signer = SimpleSigner.load_pkcs12(str(file))
        assert signer is not None
        return cls(authority, signer)

    def write_authority(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "ca.pem").write_bytes(self.authority.public_bytes(Encoding.PEM))

    def sign(self, pdf: bytes, field: str = "Chu ky 1") -> bytes:
        made = io.BytesIO()
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        sign_pdf(writer, PdfSignatureMetadata(field_name=field), self.signer, output=made)
        return made.getvalue()


def blank_pdf() -> bytes:
    """A PDF file of one empty page."""
    writer = PdfFileWriter()
    content = writer.add_object(generic.StreamObject(stream_data=b""))
    writer.insert_page(PageObject(contents=content, media_box=(0, 0, 595, 842)))
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def changed_after_signing(pdf: bytes) -> bytes:
    """The file with a page's size changed by another revision behind the signed one."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/MediaBox"] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 100, 100)))
    writer.update_container(page)
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def stamped(pdf: bytes) -> bytes:
    """The file with a time stamp over all of it, as an authority for time stamps gives."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TSA")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(key, hashes.SHA256())
    )
    clock = DummyTimeStamper(
        asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER)),
        asn1_keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
    )
    made = io.BytesIO()
    PdfTimeStamper(clock, field_name="Dau thoi gian").timestamp_pdf(
        IncrementalPdfFileWriter(io.BytesIO(pdf)), "sha256", output=made
    )
    return made.getvalue()


def rewritten(pdf: bytes, old: bytes, new: bytes) -> bytes:
    """The file with a name written otherwise, at the same length: blanks behind a /ByteRange give way."""
    blanks = b"]" + b" " * (len(new) - len(old))
    assert old in pdf
    assert blanks in pdf
    return pdf.replace(blanks, b"]", 1).replace(old, new, 1)


def signed_in_name_only(sub_filter: str, *, compressed: bool) -> bytes:
    """A file with a signed field whose signature is none, of a kind; in a stream of compressed objects or not."""
    writer = PdfFileWriter()
    writer.insert_page(
        PageObject(contents=writer.add_object(generic.StreamObject(stream_data=b"")), media_box=(0, 0, 595, 842))
    )
    objects = writer.prepare_object_stream() if compressed else None
    name, text = generic.NameObject, generic.TextStringObject
    signature = writer.add_object(
        generic.DictionaryObject(
            {
                name("/Type"): name("/Sig"),
                name("/SubFilter"): name(sub_filter),
                name("/ByteRange"): generic.ArrayObject(map(generic.NumberObject, (0, 9, 9, 9))),
                name("/Contents"): generic.ByteStringObject(b"\x30\x00"),
            }
        ),
        obj_stream=objects,
    )
    field = generic.DictionaryObject({name("/FT"): name("/Sig"), name("/T"): text("Chu ky"), name("/V"): signature})
    fields_of_form = generic.ArrayObject([writer.add_object(field, obj_stream=objects)])
    writer.root["/AcroForm"] = generic.DictionaryObject({name("/Fields"): fields_of_form})
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def compressed_pdf() -> bytes:
    """A file without signatures, with compressed objects."""
    writer = PdfFileWriter()
    writer.insert_page(
        PageObject(contents=writer.add_object(generic.StreamObject(stream_data=b"")), media_box=(0, 0, 595, 842))
    )
    writer.add_object(generic.DictionaryObject(), obj_stream=writer.prepare_object_stream())
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def locked(pdf: bytes) -> bytes:
    """The file encrypted against changes, for all to read."""
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(pdf)))
    writer.encrypt(owner_pass="chu", user_pass="")
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()
