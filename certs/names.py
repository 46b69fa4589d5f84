"""The names that our certificates carry: who the holder is (URIs in SubjectAltName), and what the key is for (EKU)."""

from __future__ import annotations

from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import NameOID

from schemas.codes import AgencyCode

_CONNECTION = "urn:congvan:connection:"
_AGENCY = "urn:congvan:agency:"
_HUB = "urn:congvan:hub:"

#: Our own arc, 2.25 followed by a UUID (ITU-T X.667): nobody else can hold it, and nobody has to assign it.
_ARC = "2.25.311385563774351924629259984230064988514"

#: Extended key usages of ours. A key that carries one is for that purpose and no other.
SEAL_PURPOSE = ObjectIdentifier(f"{_ARC}.1")
RECEIPTS_PURPOSE = ObjectIdentifier(f"{_ARC}.2")
DIRECTORY_PURPOSE = ObjectIdentifier(f"{_ARC}.3")


#: The upper bound of a common name (RFC 5280 appendix A); `cryptography` counts bytes of UTF-8.
_COMMON_NAME_BYTES = 64


def common_name(name: str, role: str = "") -> x509.Name:
    """`name` as the common name, cut to what fits; `role` is never cut off: it keeps certificates of one name apart."""
    most = _COMMON_NAME_BYTES - len(role.encode())
    fitting = name.encode()[:most].decode(errors="ignore")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fitting + role)])


def connection_uri(connection: str) -> str:
    return _CONNECTION + quote(connection, safe="")


def agency_uri(code: AgencyCode) -> str:
    return _AGENCY + code.value


def hub_uri(name: str) -> str:
    return _HUB + quote(name, safe="")


def connection_named(certificate: x509.Certificate) -> str | None:
    """The connection id that the certificate carries, None if it carries none or several."""
    return _only(certificate, _CONNECTION)


def hub_named(certificate: x509.Certificate) -> str | None:
    """The hub name that the certificate carries, None if it carries none or several."""
    return _only(certificate, _HUB)


def _only(certificate: x509.Certificate, prefix: str) -> str | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith(prefix)]
    return unquote(uris[0].removeprefix(prefix)) if len(uris) == 1 else None
