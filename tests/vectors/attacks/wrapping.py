"""XML signature wrapping, in the eight forms that Somorovsky et al. found against SAML (USENIX Security 2012).

There the signed element is found by its Id wherever it stands, while the forged one is read in its place. A seal refers
to the whole document instead, so each form is turned to edXML: the original goes where the form hides it, the
forged message where it is read.
"""

from __future__ import annotations

from copy import deepcopy

from lxml import etree

from certs.signature_profile import ds, xades
from schemas.namespaces import QCVN
from tests.vectors.attacks.registry import refused_as
from tests.vectors.workshop import Workshop, first, written


@refused_as("seal-form")
def xsw_1(workshop: Workshop) -> bytes:
    """The forged message carries the original inside its Signature."""
    root, signature = _forged_with_signature(workshop)
    signature.append(workshop.original())
    return written(root)


@refused_as("schema-violation")
def xsw_2(workshop: Workshop) -> bytes:
    """The original stands before the Signature, detached from it."""
    root, signature = _forged_with_signature(workshop)
    signature.addprevious(workshop.original())
    return written(root)


@refused_as("seal-misplaced")
def xsw_3(workshop: Workshop) -> bytes:
    """A forged envelope stands before the original, whose signature stays in its own header."""
    root = workshop.tree()
    first(root, "q:edXMLEnvelope").addprevious(first(workshop.forged(), "q:edXMLEnvelope"))
    return written(root)


@refused_as("seal-misplaced")
def xsw_4(workshop: Workshop) -> bytes:
    """The original, with its signature, becomes a child of the forged message."""
    root = workshop.forged()
    first(root, "q:edXMLBody").append(workshop.tree())
    return written(root)


@refused_as("schema-violation")
def xsw_5(workshop: Workshop) -> bytes:
    """The forged message has the Signature in its place; the original stands at the end of the document."""
    root, _ = _forged_with_signature(workshop)
    root.append(first(workshop.original(), "q:edXMLEnvelope"))
    return written(root)


@refused_as("seal-key-info")
def xsw_6(workshop: Workshop) -> bytes:
    """As the first, but the original hides in KeyInfo."""
    root, signature = _forged_with_signature(workshop)
    first(signature, "ds:KeyInfo").append(workshop.original())
    return written(root)


@refused_as("schema-violation")
def xsw_7(workshop: Workshop) -> bytes:
    """The original hides in the extension element, which takes other namespaces in careless schemas."""
    root, _ = _forged_with_signature(workshop)
    first(root, "cv:Extension").append(workshop.original())
    return written(root)


@refused_as("seal-object")
def xsw_8(workshop: Workshop) -> bytes:
    """The original hides in an Object of the Signature."""
    root, signature = _forged_with_signature(workshop)
    etree.SubElement(signature, ds("Object")).append(workshop.original())
    return written(root)


@refused_as("seal-object")
def properties_wrapped(workshop: Workshop) -> bytes:
    """The signed SignedProperties move into a second Object; forged ones with another Id take their place."""
    root = workshop.tree()
    signature = first(root, "ds:Signature")
    genuine = first(signature, "ds:Object")
    forged = deepcopy(genuine)
    first(forged, "xades:SignedProperties").set("Id", "forged")
    first(forged, "xades:SigningTime").text = "2030-01-01T00:00:00Z"
    genuine.addprevious(forged)
    return written(root)


@refused_as("seal-object")
def properties_beside_the_signed_ones(workshop: Workshop) -> bytes:
    """Forged SignedProperties stand before the signed ones in the same QualifyingProperties."""
    root = workshop.tree()
    genuine = first(root, "xades:SignedProperties")
    forged = deepcopy(genuine)
    forged.set("Id", "forged")
    first(forged, "xades:SigningTime").text = "2030-01-01T00:00:00Z"
    genuine.addprevious(forged)
    return written(root)


@refused_as("seal-object")
def message_in_an_object(workshop: Workshop) -> bytes:
    """A whole second message stands in an unsigned Object, for a reader that searches the tree."""
    root = workshop.tree()
    etree.SubElement(first(root, "ds:Signature"), ds("Object")).append(first(workshop.forged(), "q:edXMLEnvelope"))
    return written(root)


@refused_as("seal-object")
def header_in_the_signed_object(workshop: Workshop) -> bytes:
    """A second header stands beside SignedProperties, in the Object that is there anyway."""
    root = workshop.tree()
    etree.SubElement(first(root, "xades:QualifyingProperties"), f"{{{QCVN}}}edXMLHeader")
    return written(root)


@refused_as("seal-object")
def unsigned_properties(workshop: Workshop) -> bytes:
    """UnsignedProperties, which XAdES allows and nothing covers."""
    root = workshop.tree()
    etree.SubElement(first(root, "xades:QualifyingProperties"), xades("UnsignedProperties"))
    return written(root)


def _forged_with_signature(workshop: Workshop) -> tuple[etree._Element, etree._Element]:
    root = workshop.forged()
    signature = first(workshop.tree(), "ds:Signature")
    first(root, "q:edXMLHeader").append(signature)
    return root, signature
