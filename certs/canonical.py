"""Canonical forms: what is digested and signed, byte for byte. libxml2 makes them."""

from __future__ import annotations

from lxml import etree

from schemas.xml import Element


def canonical(element: Element) -> bytes:
    """`element` and all below it in exclusive C14N, without comments."""
    written: bytes = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    return written
