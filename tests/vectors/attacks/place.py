"""Attacks on the signature's presence and place, and on what the parser makes of the bytes."""

from __future__ import annotations

from copy import deepcopy

from lxml import etree

from certs.sealing import seal
from schemas.namespaces import QCVN
from schemas.xml import Element
from tests.vectors.attacks.registry import refused_as
from tests.vectors.workshop import AT, H23, Workshop, envelope_from, first, written


@refused_as("seal-missing")
def signature_stripped(workshop: Workshop) -> bytes:
    """The signature is taken out."""
    return written(workshop.original())


@refused_as("seal-missing")
def placeholder_for_a_signature(workshop: Workshop) -> bytes:
    """A Signature in edXML's own namespace, as many real messages carry, stands for the real one."""
    root = workshop.original()
    header = first(root, "q:edXMLHeader")
    etree.SubElement(header, f"{{{QCVN}}}Signature").text = "VPCP"
    return written(root)


@refused_as("seal-doubled")
def signature_doubled(workshop: Workshop) -> bytes:
    """The signature stands twice, its Ids once."""
    root = workshop.tree()
    signature = first(root, "ds:Signature")
    signature.addnext(_without_ids(deepcopy(signature)))
    return written(root)


@refused_as("seal-doubled")
def second_signature_by_another(workshop: Workshop) -> bytes:
    """A signature by another agency over the same content stands before the right one."""
    root = workshop.tree()
    other = seal(envelope_from(), workshop.key_of(H23, workshop.national), AT).data
    first(root, "ds:Signature").addprevious(_without_ids(first(etree.fromstring(other), "ds:Signature")))
    return written(root)


@refused_as("seal-misplaced")
def signature_moved_to_the_front(workshop: Workshop) -> bytes:
    """The signature stands first in edXMLHeader instead of last."""
    root = workshop.tree()
    signature = first(root, "ds:Signature")
    first(root, "q:MessageHeader").addprevious(signature)
    return written(root)


@refused_as("seal-misplaced")
def signature_moved_to_the_root(workshop: Workshop) -> bytes:
    """The signature stands after the envelope, where other formats have it."""
    root = workshop.tree()
    root.append(first(root, "ds:Signature"))
    return written(root)


@refused_as("seal-misplaced")
def signature_moved_into_the_body(workshop: Workshop) -> bytes:
    """The signature stands in edXMLBody."""
    root = workshop.tree()
    first(root, "q:edXMLBody").append(first(root, "ds:Signature"))
    return written(root)


@refused_as("seal-misplaced")
def signature_in_a_second_header(workshop: Workshop) -> bytes:
    """A second edXMLHeader holds the signature, the first what is read."""
    root = workshop.tree()
    envelope = first(root, "q:edXMLEnvelope")
    header = etree.SubElement(envelope, f"{{{QCVN}}}edXMLHeader")
    header.append(first(root, "ds:Signature"))
    return written(root)


@refused_as("comment-forbidden")
def comment_truncates_a_code(workshop: Workshop) -> bytes:
    """`H23<!---->.12`: canonical form drops the comment, and a careless reader sees H23 alone."""
    return workshop.good.replace(b"H23.12", b"H23<!---->.12")


@refused_as("processing-instruction-forbidden")
def instruction_truncates_a_code(workshop: Workshop) -> bytes:
    """`H23<?x?>.12`: a processing instruction splits the text that a careless reader takes."""
    return workshop.good.replace(b"H23.12", b"H23<?x?>.12")


@refused_as("processing-instruction-forbidden")
def instruction_outside_the_root(workshop: Workshop) -> bytes:
    """A processing instruction after the root, which verifiers that canonicalise the root alone do not see."""
    return workshop.good + b"<?evil?>"


@refused_as("cdata-forbidden")
def cdata_hides_markup(workshop: Workshop) -> bytes:
    """A CDATA section, which canonical form turns into text."""
    return workshop.good.replace(b"H23.12", b"<![CDATA[H23.12]]>")


@refused_as("doctype-forbidden")
def entity_in_a_code(workshop: Workshop) -> bytes:
    """A DOCTYPE whose entity is the recipient."""
    doctype = b'<!DOCTYPE edXML [<!ENTITY to "H23.12">]>'
    return workshop.good.replace(b"<edXML ", doctype + b"<edXML ", 1).replace(b"H23.12", b"&to;")


@refused_as("doctype-forbidden")
def attribute_by_default(workshop: Workshop) -> bytes:
    """A DOCTYPE that gives an element an Id by default, so that two elements have the same."""
    doctype = b'<!DOCTYPE edXML [<!ATTLIST edXML:From Id CDATA "seal">]>'
    return workshop.good.replace(b"<edXML ", doctype + b"<edXML ", 1)


@refused_as("id-repeated")
def id_repeated(workshop: Workshop) -> bytes:
    """Two elements have the Id that the second reference names."""
    root = workshop.tree()
    first(root, "ds:KeyInfo").set("Id", "seal-properties")
    return written(root)


@refused_as("id-repeated")
def id_repeated_in_another_spelling(workshop: Workshop) -> bytes:
    """An `ID` repeats an `Id`: verifiers differ in which of them they look up."""
    root = workshop.tree()
    first(root, "ds:KeyInfo").set("ID", "seal-properties")
    return written(root)


@refused_as("seal-digest")
def signature_of_another_message(workshop: Workshop) -> bytes:
    """A valid signature by the same key, taken from another message."""
    root = workshop.original()
    other = seal(envelope_from(subject="Thư mời họp"), workshop.g22, AT).data
    first(root, "q:edXMLHeader").append(first(etree.fromstring(other), "ds:Signature"))
    return written(root)


def _without_ids(signature: Element) -> Element:
    for element in signature.iter():
        if "Id" in element.attrib:
            del element.attrib["Id"]
    return signature
