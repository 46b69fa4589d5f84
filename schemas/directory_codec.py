"""A version of the agency directory as JSON: the bytes that are signed, and whose SHA-256 the next version names.

Members that this program does not know are passed over, so that nodes of years apart can follow one directory; the
bytes are kept as they came, so nothing is lost. What an old program must not pass over, a higher `format` announces.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, AnchorEntry, ConnectionEntry, DirectoryVersion, EntryStatus, GroupEntry
from schemas.envelope import SelectorKind, is_sha256_hex
from schemas.errors import LimitExceeded, MalformedMessage, Rejected
from schemas.instants import instant_text, parse_instant
from schemas.json_members import Members, parse_object
from schemas.limits import MIB
from schemas.recipients import group_name, parse_recipient, recipient_text

#: Raised when a program must know of a change in order to read a version rightly.
FORMAT = 1
#: Ten times what a version with all 120,000 agencies of the national axis takes.
MAX_BYTES = 256 * MIB


def write_version(version: DirectoryVersion) -> bytes:
    """The bytes of `version`: UTF-8, members sorted, no white space; equal versions give equal bytes.

    Raises:
        MalformedMessage, MalformedCode: `read_version` would refuse what is written.
        ValueError: an instant is naive.
    """
    members: dict[str, object] = {
        "format": FORMAT,
        "number": version.number,
        "previous": version.previous,
        "issued_at": instant_text(version.issued_at),
        "expires_at": instant_text(version.expires_at),
        "agencies": [
            {
                "code": agency.code.value,
                "name": agency.name,
                "older_codes": [code.value for code in agency.older_codes],
                "connection": agency.connection,
                "status": agency.status.value,
            }
            for agency in version.agencies
        ],
        "connections": [
            {
                "connection": connection.connection,
                "name": connection.name,
                "seal_certificates": [_base64(certificate) for certificate in connection.seal_certificates],
                "status": connection.status.value,
            }
            for connection in version.connections
        ],
        "anchors": [
            {"certificate": _base64(anchor.certificate), "prefixes": list(anchor.prefixes)}
            for anchor in version.anchors
        ],
    }
    if version.groups:
        # A version without groups keeps the bytes that it had before there were any.
        members["groups"] = [
            {"group": group.group, "title": group.title, "members": list(group.members)} for group in version.groups
        ]
    text = json.dumps(members, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    # Half a surrogate pair, which UTF-8 cannot carry, is let through here for the reader to refuse.
    data = text.encode("utf-8", "surrogatepass")
    # Versions are few and every node must read them: what is to be signed is read once, by the reader's own rules.
    read_version(data)
    return data


def read_version(data: bytes) -> DirectoryVersion:
    """The version that `data` is.

    Raises:
        LimitExceeded: `data` is larger than `MAX_BYTES`.
        MalformedMessage: `data` is no version of a format known here; the error names the member's path.
        MalformedCode: an agency code is none.
    """
    if len(data) > MAX_BYTES:
        raise LimitExceeded(
            "message-too-large", f"The directory version has {len(data)} bytes; {MAX_BYTES} are allowed."
        )
    members = parse_object(data)
    written_in = members.number("format")
    if written_in != FORMAT:
        raise MalformedMessage(
            "directory-format-unknown",
            f"The directory is written in format {written_in}; this program reads format {FORMAT}.",
            element="format",
            mend="Install a newer Congvan.",
        )
    version = DirectoryVersion(
        number=members.number("number"),
        previous=members.text("previous"),
        issued_at=members.value("issued_at", parse_instant),
        expires_at=members.value("expires_at", parse_instant),
        agencies=tuple(map(_agency, members.objects("agencies"))),
        connections=tuple(map(_connection, members.objects("connections"))),
        anchors=tuple(map(_anchor, members.objects("anchors"))),
        groups=tuple(map(_group, members.objects("groups"))) if members.has("groups") else (),
    )
    _check(version)
    return version


def _agency(members: Members) -> AgencyEntry:
    return AgencyEntry(
        code=members.value("code", AgencyCode),
        name=members.text("name"),
        older_codes=members.values("older_codes", AgencyCode),
        connection=members.text("connection"),
        status=members.value("status", EntryStatus),
    )


def _connection(members: Members) -> ConnectionEntry:
    return ConnectionEntry(
        connection=members.text("connection"),
        name=members.text("name"),
        seal_certificates=members.values("seal_certificates", _from_base64),
        status=members.value("status", EntryStatus),
    )


def _anchor(members: Members) -> AnchorEntry:
    return AnchorEntry(
        certificate=members.value("certificate", _from_base64), prefixes=members.values("prefixes", _prefix)
    )


def _group(members: Members) -> GroupEntry:
    return GroupEntry(
        group=members.value("group", _group_name),
        title=members.text("title"),
        members=members.values("members", _member),
    )


def _group_name(text: str) -> str:
    try:
        return group_name(text)
    except Rejected as error:
        raise ValueError(error.message) from error


def _member(text: str) -> str:
    """A code or a selector, in the one spelling that it has."""
    try:
        recipient = parse_recipient(text)
    except Rejected as error:
        raise ValueError(error.message) from error
    if not isinstance(recipient, AgencyCode) and recipient.kind is SelectorKind.GROUP:
        raise ValueError("a group has no groups as members")
    return recipient_text(recipient)


def _prefix(text: str) -> str:
    """The empty prefix, which holds for all, or a code: anything else would hold for none and say nothing of it."""
    return text and AgencyCode(text).value


def _check(version: DirectoryVersion) -> None:
    """Pass if the version is one that can stand in a chain and says one thing of each entry."""
    if version.number < 1:
        raise MalformedMessage(
            "number-malformed", f"{version.number} is no number of a version: they count from 1.", element="number"
        )
    if not is_sha256_hex(version.previous):
        raise MalformedMessage(
            "digest-malformed",
            f"{version.previous[:100]!r} is no SHA-256.",
            element="previous",
            mend="Write 64 lower-case hexadecimal digits.",
        )
    _require_distinct("agencies", (agency.code for agency in version.agencies))
    _require_distinct("connections", (connection.connection for connection in version.connections))
    _require_distinct("anchors", (anchor.certificate for anchor in version.anchors))
    _require_distinct("groups", (group.group for group in version.groups))


def _require_distinct(name: str, keys: Iterable[object]) -> None:
    seen: set[object] = set()
    for place, key in enumerate(keys):
        if key in seen:
            raise MalformedMessage(
                "entry-repeated",
                "The version holds two entries of one key, and does not say which holds.",
                element=f"{name}[{place}]",
                mend="Write the entry as it is to be, once.",
            )
        seen.add(key)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    # Other spellings of the same bytes (spare bits set in the last character) are not what is written here.
    if _base64(data) != text:
        raise ValueError("not the base64 of its bytes")
    return data
