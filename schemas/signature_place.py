"""Where the one Signature of a message stands. What it says, and whether it holds, is the package `certs`'."""

from __future__ import annotations

from schemas.namespaces import DS
from schemas.xml import Element, element_path, fault_at


def require_signature_last(root: Element, parent: Element | None, *, required: bool) -> None:
    """Pass if the tree holds no Signature (and none is `required`), or one of XML-DSig as the last child of `parent`.

    Raises:
        MalformedMessage: `signature-missing`, `signature-repeated`, `signature-not-xmldsig` or `signature-misplaced`.
    """
    # In any namespace: one in another is a placeholder at best, and a second one is an attack or a mistake.
    signatures = list(root.iter("{*}Signature"))
    if not signatures:
        if required:
            raise fault_at(
                root, "signature-missing", "The message has no Signature.", mend="Sign it before it is sent."
            )
        return
    if len(signatures) > 1:
        raise fault_at(
            signatures[1], "signature-repeated", "The message has more than one Signature.", mend="Sign it once."
        )
    (signature,) = signatures
    if signature.tag != f"{{{DS}}}Signature":
        raise fault_at(
            signature,
            "signature-not-xmldsig",
            "The Signature is not one of XML-DSig: it proves nothing.",
            mend="Leave it out, and sign the message.",
        )
    if parent is None or signature.getparent() is not parent or signature.getnext() is not None:
        place = "in its place" if parent is None else f"last in {element_path(parent)}"
        raise fault_at(
            signature,
            "signature-misplaced",
            f"The Signature does not stand {place}.",
            mend="Sign the message with a Congvan of this version, which puts it there.",
        )
