"""The one-time token that admits a node: copied by hand, so a damaged paste must be told from a wrong one.

    congvan1.<32 bytes of the authority's fingerprint>.<secret>.<checksum>

The fingerprint lets the first contact with the hub be checked, before the secret is shown to anybody.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography import x509

from certs.errors import TokenRejected
from certs.keys import fingerprint
from schemas.envelope import Sha256Hex, is_sha256_hex

_KIND: Final = "congvan1"
_SECRET_BYTES: Final = 32
_CHECKSUM_BYTES: Final = 4
_MEND: Final = "Copy the whole token again, from congvan1 to its last character; it is one line without spaces."


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """The fingerprint of the hub's root certificate, and the secret that the hub knows the enrolment by.

    The secret is 256 random bits in base64url: text, as it is sent.
    """

    authority_fingerprint: Sha256Hex
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not is_sha256_hex(self.authority_fingerprint) or len(_decoded(self.secret)) != _SECRET_BYTES:
            raise ValueError(f"a token has a SHA-256 in hex and a secret of {_SECRET_BYTES} bytes in base64url")

    @classmethod
    def new(cls, authority: x509.Certificate, random_bytes: Callable[[int], bytes]) -> Self:
        """A token for the hub whose root is `authority`; `random_bytes` is `secrets.token_bytes` outside tests."""
        return cls(fingerprint(authority), _encoded(random_bytes(_SECRET_BYTES)))

    @property
    def secret_digest(self) -> Sha256Hex:
        """What the hub keeps instead of the secret: its SHA-256, which is enough for 256 random bits."""
        return secret_digest(self.secret)

    def encode(self) -> str:
        """The text that the operator hands to the agency."""
        body = f"{_KIND}.{_encoded(bytes.fromhex(self.authority_fingerprint))}.{self.secret}"
        return f"{body}.{_encoded(_checksum(body))}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The token in `text`, white space around it or broken lines inside it left out.

        Raises TokenRejected: `token-kind` if it begins like no token, `token-damaged` if a part is missing or changed.
        Neither message repeats the text.
        """
        token = "".join(text.split())
        kind, _, _ = token.partition(".")
        if kind != _KIND:
            raise TokenRejected(
                "token-kind", f"This is no enrolment token: it does not begin with {_KIND}.", mend=_MEND
            )
        body, _, checksum = token.rpartition(".")
        parts = body.split(".")
        try:
            if len(parts) != 3 or not hmac.compare_digest(_decoded(checksum), _checksum(body)):
                raise _damaged()
            return cls(_decoded(parts[1]).hex(), parts[2])
        except ValueError as error:
            raise _damaged() from error

    def require_authority(self, certificates: Iterable[x509.Certificate]) -> x509.Certificate:
        """The root that the token names, among those that a hub has shown.

        Raises TokenRejected (`token-authority`): whoever answered is not the hub that made the token.
        """
        for certificate in certificates:
            if hmac.compare_digest(fingerprint(certificate), self.authority_fingerprint):
                return certificate
        raise TokenRejected(
            "token-authority",
            "What answered is not the hub that made this token: its authority is another.",
            mend="Check the hub's address; if it is right, the connection may be intercepted: tell the operator.",
        )


def secret_digest(secret: str) -> Sha256Hex:
    """What the hub compares with a secret that was presented."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _damaged() -> TokenRejected:
    return TokenRejected("token-damaged", "The enrolment token is incomplete or was changed.", mend=_MEND)


def _checksum(body: str) -> bytes:
    """Against mishaps of copying, not against forgers: whoever lacks the secret gains nothing by a right checksum."""
    return hashlib.sha256(body.encode()).digest()[:_CHECKSUM_BYTES]


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """ValueError for anything but unpadded base64url."""
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if _encoded(content) != text:
        raise ValueError("not canonical base64url")
    return content
