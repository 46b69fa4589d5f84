"""May this key speak for that agency? The same answer for seals and for an agency's receipts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from certs.certification_path import REMEMBERED_PATHS
from certs.errors import SignatureFaults
from certs.signature_reader import OpenedSignature
from certs.trust import SignerBinding, TrustAnchor
from certs.usage import SEALS
from schemas.codes import AgencyCode
from schemas.errors import Rejected


def require_known(code: AgencyCode, binding: SignerBinding | None, faults: SignatureFaults) -> SignerBinding:
    """What the directory says of `code`; `agency-unknown` if it says nothing."""
    if binding is None:
        raise faults.named(
            "agency-unknown",
            f"The directory does not know {code}.",
            mend="Check the code, or have the operator of the hub admit the agency.",
        )
    return binding


def require_agency_signer(
    signature: OpenedSignature,
    binding: SignerBinding,
    anchors: Sequence[TrustAnchor],
    at: datetime,
    faults: SignatureFaults,
) -> None:
    """Pass if the signer's certificate leads, at `at`, to an anchor that holds for the agency, and is bound to it.

    An anchor must hold for the agency's code of today, even where a message names an older one: the directory alone
    relates the two. Raises what `faults` makes: `certificate-…`, `anchor-prefix`, `signer-not-bound`.
    """
    covering = [anchor.certificate for anchor in anchors if anchor.covers(binding.code)]
    try:
        _require_path(signature, covering, at, faults)
    except Rejected as error:
        if error.code != faults.code("certificate-untrusted"):
            raise
        # Not by an anchor for this agency: is there one for others?
        others = [anchor.certificate for anchor in anchors if not anchor.covers(binding.code)]
        _require_path(signature, others, at, faults)
        raise faults.named(
            "anchor-prefix",
            f"The authority behind this signature is trusted, but not for {binding.code}.",
            mend="Sign with a certificate of an authority that is trusted for the agency's codes.",
        ) from error
    signer = signature.fingerprint
    if signer not in binding.fingerprints:
        raise faults.named(
            "signer-not-bound",
            f"The directory does not let the certificate {signer} sign for {binding.code}.",
            mend="Sign with a key that is enrolled for the agency, or have the operator admit this certificate.",
        )


def _require_path(
    signature: OpenedSignature, anchors: Sequence[x509.Certificate], at: datetime, faults: SignatureFaults
) -> None:
    REMEMBERED_PATHS.find(signature.signer, signature.intermediates, anchors, usage=SEALS, at=at, faults=faults)
