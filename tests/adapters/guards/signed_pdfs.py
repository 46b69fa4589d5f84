"""PDF files signed at run time, by people with certificates of an authority of the tests' own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner, sign_pdf

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


def with_empty_field(pdf: bytes, name: str) -> bytes:
    """The file with a field for a later signature."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    fields.append_signature_field(writer, fields.SigFieldSpec(name))
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()
