"""Is a Signature element exactly of the profile's form? Judged before any of it is used."""

from __future__ import annotations

from base64 import b64decode

from lxml import etree

from certs.errors import SignatureFaults
from certs.signature_profile import (
    CONTENT_REFERENCE_ID,
    ENVELOPED,
    EXCLUSIVE_C14N,
    PROPERTIES_ID,
    PROPERTIES_TYPE,
    SHA256,
    SHAPES,
    SIGNATURE_ID,
    SIGNATURE_METHODS,
    ds,
    xades,
)
from schemas.signature_place import require_signature_last
from schemas.xml import Element

_IDS = (SIGNATURE_ID, CONTENT_REFERENCE_ID, f"#{SIGNATURE_ID}", PROPERTIES_ID, f"#{CONTENT_REFERENCE_ID}")

#: What XML calls white space, and nothing else that Unicode does.
_WHITE_SPACE = " \t\r\n"
_WITHOUT_WHITE_SPACE = str.maketrans("", "", _WHITE_SPACE)

_SIGNATURE_ALGORITHMS = frozenset(method.value for method in SIGNATURE_METHODS)
_C14N_ALGORITHMS = frozenset({EXCLUSIVE_C14N.value})
_DIGEST_ALGORITHMS = frozenset({SHA256.value})


def located_signature(root: Element, parents: tuple[str, ...], faults: SignatureFaults) -> Element:
    """The one Signature in the tree, if it is the last child of the element to which the tags `parents` lead."""
    parent = root.find("/".join((".", *parents)))
    with faults.of_place():
        require_signature_last(root, parent, required=True)
    assert parent is not None  # noqa: S101 - or the line above had refused
    return parent[-1]


def check_form(signature: Element, faults: SignatureFaults) -> None:
    """Pass if `signature` holds what the profile has and nothing else."""
    objects = signature.findall(ds("Object"))
    if len(objects) > 1:
        raise faults("object", "The Signature brings an Object that is not signed.", objects[1])
    _check_shape(signature, faults)
    signed_info = signature[0]
    _require_algorithm(signed_info[0], _C14N_ALGORITHMS, faults)
    _require_algorithm(signed_info[1], _SIGNATURE_ALGORITHMS, faults)
    for digest_method in signature.iter(ds("DigestMethod")):
        _require_algorithm(digest_method, _DIGEST_ALGORITHMS, faults)
    _check_references(signature, faults)


def _check_shape(element: Element, faults: SignatureFaults) -> None:
    """Walk down, so that every element is known before what stands in it is looked at."""
    shape = SHAPES[element.tag]
    if not shape.admits(element):
        raise faults(shape.fault, f"{etree.QName(element).localname} does not hold exactly what it must.", element)
    if shape.is_text:
        if shape.is_base64 and not decoded(element):
            raise faults(shape.fault, f"{etree.QName(element).localname} is not base64.", element)
        return
    if any(text and text.strip(_WHITE_SPACE) for text in (element.text, *(child.tail for child in element))):
        raise faults("form", f"Text stands loose in {etree.QName(element).localname}.", element)
    for child in element:
        _check_shape(child, faults)


def decoded(element: Element) -> bytes:
    """The bytes that `element` holds in base64; none if it holds anything but base64 and white space.

    Strict, because what a lenient decoder skips would be a place for bytes that nothing covers.
    """
    try:
        return b64decode((element.text or "").translate(_WITHOUT_WHITE_SPACE), validate=True)
    except ValueError:
        return b""


def _require_algorithm(element: Element, allowed: frozenset[str], faults: SignatureFaults) -> None:
    if element.get("Algorithm") not in allowed:
        name = etree.QName(element).localname
        raise faults("algorithm", f"{name} {element.get('Algorithm')!r} is not taken.", element)


def _check_references(signature: Element, faults: SignatureFaults) -> None:
    signed_info, _, _, container = signature
    content, properties = signed_info[2], signed_info[3]
    _require_transforms(content, (ENVELOPED, EXCLUSIVE_C14N.value), faults)
    _require_transforms(properties, (EXCLUSIVE_C14N.value,), faults)
    if (content.get("URI"), content.get("Type")) != ("", None):
        raise faults("references", "The first reference is not to the whole document.", content)
    if (properties.get("URI"), properties.get("Type")) != (f"#{PROPERTIES_ID}", PROPERTIES_TYPE):
        raise faults("references", "The second reference is not to SignedProperties.", properties)
    qualifying = container[0]
    described = next(qualifying.iter(xades("DataObjectFormat")))
    found = (
        signature.get("Id"),
        content.get("Id"),
        qualifying.get("Target"),
        qualifying[0].get("Id"),
        described.get("ObjectReference"),
    )
    if found != _IDS:
        raise faults("references", "The Ids that tie the signature's parts together are not the profile's.", signature)


def _require_transforms(reference: Element, expected: tuple[str, ...], faults: SignatureFaults) -> None:
    transforms = reference[0]
    if tuple(transform.get("Algorithm") for transform in transforms) != expected:
        raise faults("algorithm", "The transforms of a reference are not those of the profile.", transforms)
