"""Sealing: an envelope's bytes with the signature that gives the message its identity.

The message id is the digest of the envelope without its signature, in canonical form. It depends on the content
alone: sealing again, by another key or at another time, gives the same id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certs.errors import SEAL_FAULTS
from certs.sealing_key import SealingKey, load_sealing_key
from certs.signature_profile import ds
from certs.signature_writer import sign_canonical, sign_enveloped
from schemas.envelope import Envelope, Sha256Hex
from schemas.limits import DEFAULT_LIMITS
from schemas.namespaces import QCVN
from schemas.travel import parse_envelope, read_envelope, write_envelope
from schemas.travel_text import envelope_in

__all__ = ["SEAL_PARENTS", "Sealed", "SealingKey", "load_sealing_key", "seal"]

#: From the root down to the element whose last child the seal is.
SEAL_PARENTS: Final = (f"{{{QCVN}}}edXMLEnvelope", f"{{{QCVN}}}edXMLHeader")


#: What the seal is put before, in bytes that we write.
_BEHIND_SEAL: Final = b"</edXML:edXMLHeader>"


@dataclass(frozen=True, slots=True)
class Sealed:
    """The bytes that travel from here to every recipient, and the message's id."""

    data: bytes
    message_id: Sha256Hex


def seal(envelope: Envelope | bytes, key: SealingKey, signing_time: datetime) -> Sealed:
    """Seal an envelope, or the unsigned bytes of one as `write_envelope` gives them; those bytes stay as they are.

    Raises:
        Rejected: the envelope breaks a rule of the form that travels.
        SealRejected: `seal-doubled`: the bytes carry a Signature already.
    """
    unsigned = envelope if isinstance(envelope, bytes) else write_envelope(envelope)
    if envelope_in(unsigned, DEFAULT_LIMITS, sealed_bytes=len(unsigned)) is not None:
        # To the byte as we write it, which is canonical: what the parser would find in it is known.
        return Sealed(*sign_canonical(unsigned, _BEHIND_SEAL, key, signing_time))
    root = parse_envelope(unsigned)
    if isinstance(envelope, bytes):
        read_envelope(root)  # nothing is sealed that no recipient could read
    header = root.find("/".join(SEAL_PARENTS))
    if header is None or header.find(ds("Signature")) is not None:
        raise SEAL_FAULTS("doubled", "The envelope carries a Signature already.", mend="Take its Signature out first.")
    data, message_id = sign_enveloped(unsigned, header, key, signing_time)
    return Sealed(data, message_id)
