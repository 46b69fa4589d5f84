"""The hardened parser for XML that we wrote ourselves: envelopes that travel, receipts, proofs.

The classic form at the edges is read leniently elsewhere. Here one form is right, so whatever could mean two things to
two readers is refused before libxml2 sees it: other encodings, DOCTYPE and with it every entity, comments, processing
instructions, CDATA. In well-formed XML without these `<!` occurs nowhere and `<?` only in the declaration, so that a
search of the bytes finds them all, and the number of `<` that close nothing is the number of elements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias, cast

from lxml import etree
from lxml.etree import _Element

from schemas.errors import LimitExceeded, MalformedMessage
from schemas.limits import Limits

Element: TypeAlias = _Element

#: More attributes than any element of ours, or of a seal, carries. Canonicalisation sorts them in quadratic time.
_ATTRIBUTES_OF_AN_ELEMENT = 32
#: Namespace declarations in one message; a sealed envelope has about ten. Looking a prefix up walks them all.
NAMESPACE_DECLARATIONS = 1000

#: Elements that only wrap: a path is read more easily without them.
WRAPPERS = frozenset({"edXML", "edXMLEnvelope", "edXMLHeader", "edXMLBody", "Receipt", "Proof"})

_DECLARATION = re.compile(
    rb"""<\?xml \s+ version \s*=\s* ("1\.0"|'1\.0')
         (?: \s+ encoding \s*=\s* ("[Uu][Tt][Ff]-8"|'[Uu][Tt][Ff]-8') )?
         (?: \s+ standalone \s*=\s* ("(?:yes|no)"|'(?:yes|no)') )? \s*\?>""",
    re.VERBOSE,
)
_BEGIN = re.compile(rb"\s*<")
_NAMESPACE_DECLARATION = re.compile(rb"\sxmlns(?::[^\s=]+)?\s*=")
_BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "a byte order mark stands before it",
    b"\xff\xfe": "it is UTF-16",
    b"\xfe\xff": "it is UTF-16",
}
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"


def selecting(expression: str, **prefixes: str) -> Callable[[Element], list[Element]]:
    """The XPath `expression`, compiled, whose result is elements; `prefixes` stand for namespaces in it."""
    return cast("Callable[[Element], list[Element]]", asking(expression, **prefixes))


def asking(expression: str, **prefixes: str) -> Callable[[Element], Any]:
    """The same of an expression whose result is a value: a number, a truth, texts."""
    return etree.XPath(expression, namespaces=prefixes, smart_strings=False)


_ATTRIBUTED = selecting("//*/@*/..")
# Every name under which some verifier looks an Id up.
_ID_NAMES = ("Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id")

# What libxml2 answers at once about a whole tree; only where it leaves a doubt are elements looked at one by one.
_ATTRIBUTES = asking("count(//@*)")
_HINTED = asking("boolean(//@*[namespace-uri() = 'http://www.w3.org/2001/XMLSchema-instance'])")
# In whichever namespace: more than count as Ids, and none that does is left out.
_IDS = asking("//@*[translate(local-name(), 'ID', 'id') = 'id']")
#: Deeper than any message of ours, but shallow enough to ask at once.
_SHALLOW = 16


def parse(data: bytes, limits: Limits) -> Element:
    """The root of the tree that `data` is.

    Of `limits` it enforces `envelope_bytes`, `elements`, `depth` and `text_bytes`, each before the work it bounds.

    Raises:
        LimitExceeded: `data` is larger, deeper or more numerous than `limits` allow.
        MalformedMessage: `data` is not well-formed, not UTF-8, or holds what the module's head forbids.
    """
    if len(data) > limits.envelope_bytes:
        raise LimitExceeded(
            "message-too-large",
            f"The message has {len(data)} bytes; {limits.envelope_bytes} are allowed.",
            mend="Send long content as an attachment.",
        )
    _require_utf8(data)
    declaration = _DECLARATION.match(data)
    _require_plain_markup(data, declaration.end() if declaration else 0)
    _require_few(data, 1 if declaration else 0, limits)
    root = _tree(data)
    _require_sound(root, limits)
    if len(data) > limits.text_bytes:
        _require_short_texts(root, limits.text_bytes)
    return root


def parse_canonical(data: bytes) -> Element:
    """The root of the tree that the canonical form of a tree of `parse`'s is: what that refused cannot be in it."""
    return _tree(data)


def element_path(element: Element) -> str:
    """Where `element` stands, as a path of local names: `MessageHeader/To[2]/OrganId`.

    Names that only wrap (`WRAPPERS`) are left out. A number is given from the second element of a name on, counted
    among its siblings.
    """
    steps = []
    here: Element | None = element
    while here is not None:
        name = etree.QName(here).localname
        if name not in WRAPPERS:
            place = 1 + sum(1 for _ in here.itersiblings(here.tag, preceding=True))
            steps.append(name if place == 1 else f"{name}[{place}]")
        here = here.getparent()
    return "/".join(reversed(steps)) or etree.QName(element).localname


def element_at(root: Element, path: str) -> Element | None:
    """The element below `root` that `element_path` gives `path`, if there is one."""
    first, *rest = path.split("/")
    here = next((top for top in root.iter("{*}" + first) if element_path(top) == first), None)
    for step in rest:
        name, _, place = step.rstrip("]").partition("[")
        if here is None:
            break
        here = next(islice(here.iterchildren("{*}" + name), int(place or 1) - 1, None), None)
    return here


def fault_at(element: Element, code: str, message: str, mend: str | None = None) -> MalformedMessage:
    """An error that names `element` by its path and line."""
    return MalformedMessage(code, message, element=element_path(element), line=line_of(element), mend=mend)


def line_of(element: Element) -> int | None:
    return cast("int | None", element.sourceline)


def _require_utf8(data: bytes) -> None:
    mend = "Write UTF-8 without a byte order mark."
    fault = next((fault for mark, fault in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if fault is None and b"\x00" in data:
        fault = "it holds a NUL byte, as UTF-16 and UTF-32 do"
    if fault is not None:
        raise MalformedMessage("encoding-not-utf-8", f"The message is not plain UTF-8: {fault}.", line=1, mend=mend)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(
            "encoding-not-utf-8",
            f"The message is not UTF-8: byte {error.start} ({data[error.start]:#04x}) fits no character.",
            line=_line_at(data, error.start),
            mend=mend,
        ) from error


def _require_plain_markup(data: bytes, prolog_end: int) -> None:
    """Refuse what no message of ours holds, by a search of the bytes (why that is complete: the module's head)."""
    if not _BEGIN.match(data, prolog_end):
        raise MalformedMessage(
            "bytes-before-prolog",
            "The message does not begin with a tag.",
            line=1,
            mend="Remove what stands before it.",
        )
    at = data.find(b"<!")
    if at >= 0:
        code, name = _declaration_kind(data[at : at + 9])
        raise MalformedMessage(
            code, f"The message holds {name}.", line=_line_at(data, at), mend="Write elements and text only."
        )
    at = data.find(b"<?", prolog_end)
    if at >= 0:
        if data[at : at + 5] == b"<?xml" and not prolog_end:
            raise MalformedMessage(
                "declaration-unknown",
                "The XML declaration says something other than version 1.0 and UTF-8, or does not stand first.",
                line=_line_at(data, at),
                mend='Begin with <?xml version="1.0" encoding="UTF-8"?>, or leave the declaration out.',
            )
        raise MalformedMessage(
            "processing-instruction-forbidden",
            "The message holds a processing instruction.",
            line=_line_at(data, at),
            mend="Write elements and text only.",
        )


def _declaration_kind(markup: bytes) -> tuple[str, str]:
    if markup.startswith(b"<!--"):
        return "comment-forbidden", "a comment"
    if markup.startswith(b"<![CDATA["):
        return "cdata-forbidden", "a CDATA section"
    if markup.startswith(b"<!DOCTYPE"):
        return "doctype-forbidden", "a document type declaration"
    return "declaration-forbidden", "a markup declaration"


def _require_few(data: bytes, declarations: int, limits: Limits) -> None:
    # `<a/>` is the shortest element: a message that is too short to hold too many is not counted.
    if len(data) > 4 * limits.elements:
        elements = data.count(b"<") - data.count(b"</") - declarations
        if elements > limits.elements:
            raise LimitExceeded(
                "too-many-elements", f"The message has {elements} elements; {limits.elements} are allowed."
            )
    # The quick count takes in texts that speak of xmlns; only beyond it are they told apart.
    if data.count(b"xmlns") > NAMESPACE_DECLARATIONS:
        declared = len(_NAMESPACE_DECLARATION.findall(data))
        if declared > NAMESPACE_DECLARATIONS:
            raise LimitExceeded(
                "too-many-namespaces",
                f"The message declares namespaces {declared} times; {NAMESPACE_DECLARATIONS} are allowed.",
                mend="Declare each namespace once, where it is first needed.",
            )


def _tree(data: bytes) -> Element:
    # A parser for each call: a shared one makes threads wait for each other, and a new one costs a microsecond.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        if error.code == etree.ErrorTypes.ERR_RESOURCE_LIMIT:  # type: ignore[attr-defined] # lxml-stubs leave it out
            raise LimitExceeded(
                "parser-limit", f"The message exceeds a limit of the XML parser: {error.msg}.", line=error.lineno
            ) from error
        raise MalformedMessage(
            "not-well-formed", f"The message is not well-formed XML: {error.msg}.", line=error.lineno
        ) from error


def _require_sound(root: Element, limits: Limits) -> None:
    if limits.depth < _SHALLOW or _deeper_than(_SHALLOW)(root):
        for element in _deeper_than(limits.depth)(root)[:1]:
            raise LimitExceeded(
                "too-deep",
                f"Elements stand more than {limits.depth} deep in each other.",
                element=element_path(element),
                line=line_of(element),
            )
    if _ATTRIBUTES(root) <= _ATTRIBUTES_OF_AN_ELEMENT and not _HINTED(root) and _are_different(_IDS(root)):
        return
    ids: set[str] = set()
    for element in _ATTRIBUTED(root):
        _require_sound_attributes(element)
        _require_new_id(element, ids)


def _are_different(texts: Sequence[str]) -> bool:
    return len(set(texts)) == len(texts)


@lru_cache(maxsize=8)
def _deeper_than(depth: int) -> Callable[[Element], list[Element]]:
    return selecting("/*" * (depth + 1))


def _require_sound_attributes(element: Element) -> None:
    attributes = element.attrib
    if len(attributes) > _ATTRIBUTES_OF_AN_ELEMENT:
        raise LimitExceeded(
            "too-many-attributes",
            f"The element has {len(attributes)} attributes; {_ATTRIBUTES_OF_AN_ELEMENT} are allowed.",
            element=element_path(element),
            line=line_of(element),
        )
    if any(str(name).startswith(_SCHEMA_INSTANCE) for name in attributes):
        raise fault_at(
            element,
            "schema-hint-forbidden",
            "An attribute in the namespace XMLSchema-instance would tell a validator which schema or type to use.",
            mend="Leave the attribute out: the form of a message is fixed.",
        )


def _require_new_id(element: Element, ids: set[str]) -> None:
    # One element may say the same Id twice (Id and xml:id); two elements may not.
    own = {value for name in _ID_NAMES if (value := element.get(name)) is not None}
    if repeated := own & ids:
        raise fault_at(
            element,
            "id-repeated",
            f"Two elements have the Id {min(repeated)[:100]!r}, so that a reference to it names neither.",
            mend="Give each element an Id of its own.",
        )
    ids |= own


def _require_short_texts(root: Element, most: int) -> None:
    for element in root.iter():
        texts = (element.text, element.tail, *element.attrib.values())
        # A character takes four bytes at most: only a text that could be too long is encoded.
        if any(text and 4 * len(text) > most and len(text.encode()) > most for text in texts):
            raise LimitExceeded(
                "text-too-long",
                f"A text is longer than the {most} bytes that are allowed.",
                element=element_path(element),
                line=line_of(element),
                mend="Send long content as an attachment.",
            )


def _line_at(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
