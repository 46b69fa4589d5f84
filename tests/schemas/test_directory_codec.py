"""Directory versions: deterministic bytes, strict reading, and room for what later programs add."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas.directory_codec
from schemas.codes import AgencyCode
from schemas.directory import (
    NO_PREVIOUS,
    AgencyEntry,
    AnchorEntry,
    ConnectionEntry,
    DirectoryVersion,
    EntryStatus,
)
from schemas.directory_codec import read_version, write_version
from schemas.errors import LimitExceeded, Rejected
from tests.schemas.strategies import agency_codes, line_texts, new_codes, sha256_hex

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)

VERSION = DirectoryVersion(
    number=7,
    previous="3a" * 32,
    issued_at=AT,
    expires_at=AT + timedelta(days=30),
    agencies=(
        AgencyEntry(code=AgencyCode("G22"), name="Văn phòng Chính phủ", connection="c-1"),
        AgencyEntry(
            code=AgencyCode("H31"),
            name="UBND tỉnh Hưng Yên",
            older_codes=(AgencyCode("000.00.00.H31"),),
            connection="c-2",
            status=EntryStatus.SUSPENDED,
        ),
    ),
    connections=(ConnectionEntry(connection="c-1", name="VPCP", seal_certificates=(b"\x30\x82", b"\x30\x83")),),
    anchors=(AnchorEntry(certificate=b"\x30\x84\xff", prefixes=("", "H31")),),
)
DATA = write_version(VERSION)


instants = st.integers(0, 2**52).map(lambda micros: AT + timedelta(microseconds=micros))
names = line_texts()
versions = st.builds(
    DirectoryVersion,
    number=st.integers(1, 2**63),
    previous=sha256_hex() | st.just(NO_PREVIOUS),
    issued_at=instants,
    expires_at=instants,
    agencies=st.lists(
        st.builds(
            AgencyEntry,
            code=agency_codes(),
            name=names,
            older_codes=st.lists(agency_codes(), max_size=2).map(tuple),
            connection=names,
            status=st.sampled_from(EntryStatus),
        ),
        max_size=3,
        unique_by=lambda entry: entry.code,
    ).map(tuple),
    connections=st.lists(
        st.builds(
            ConnectionEntry,
            connection=names,
            name=names,
            seal_certificates=st.lists(st.binary(max_size=40), max_size=2).map(tuple),
            status=st.sampled_from(EntryStatus),
        ),
        max_size=3,
        unique_by=lambda entry: entry.connection,
    ).map(tuple),
    anchors=st.lists(
        st.builds(
            AnchorEntry,
            certificate=st.binary(max_size=40),
            prefixes=st.lists(st.just("") | new_codes().map(str), max_size=2).map(tuple),
        ),
        max_size=2,
        unique_by=lambda entry: entry.certificate,
    ).map(tuple),
)


@given(versions)
def test_a_version_reads_back_the_same(version: DirectoryVersion) -> None:
    """Every version survives being written and read, and equal versions give equal bytes."""
    data = write_version(version)
    assert read_version(data) == version
    assert write_version(read_version(data)) == data


def test_the_bytes_are_plain_json_with_sorted_members() -> None:
    """The form can be made again by any program: UTF-8, no white space, members in order."""
    parsed = json.loads(DATA)
    assert json.dumps(parsed, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() == DATA
    assert parsed["format"] == 1
    assert parsed["issued_at"] == "2026-11-21T08:30:00.000000Z"
    assert parsed["agencies"][1] == {
        "code": "H31",
        "name": "UBND tỉnh Hưng Yên",
        "older_codes": ["000.00.00.H31"],
        "connection": "c-2",
        "status": "suspended",
    }
    assert parsed["anchors"] == [{"certificate": "MIT/", "prefixes": ["", "H31"]}]


def test_members_of_later_programs_are_passed_over() -> None:
    """A member that is not known here changes nothing in what is read; the bytes keep it."""
    parsed = json.loads(DATA)
    parsed["later"] = {"x": [1.5, None]}
    parsed["agencies"][0]["later"] = True
    assert read_version(json.dumps(parsed).encode()) == VERSION


def changed(*path: str | int, to: Any) -> bytes:
    """DATA with the member at `path` set to `to`, or taken out if that is `...`."""
    parsed: Any = json.loads(DATA)
    place = parsed
    for step in path[:-1]:
        place = place[step]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(parsed).encode()


AGENCY = {"code": "G22", "name": "x", "older_codes": [], "connection": "c", "status": "active"}

REFUSALS = [
    ("directory-format-unknown", "format", changed("format", to=2)),
    ("member-missing", "format", changed("format", to=...)),
    ("member-missing", "agencies", changed("agencies", to=...)),
    ("member-missing", "agencies[1].older_codes", changed("agencies", 1, "older_codes", to=...)),
    ("member-malformed", "number", changed("number", to="7")),
    ("member-malformed", "number", changed("number", to=True)),
    ("member-malformed", "number", changed("number", to=7.0)),
    ("number-malformed", "number", changed("number", to=0)),
    ("digest-malformed", "previous", changed("previous", to="3A" * 32)),
    ("value-malformed", "expires_at", changed("expires_at", to="2026-11-21")),
    ("member-malformed", "agencies", changed("agencies", to={})),
    ("member-malformed", "agencies[0]", changed("agencies", 0, to="G22")),
    ("member-malformed", "agencies[0].name", changed("agencies", 0, "name", to=None)),
    ("text-not-carried", "agencies[0].name", changed("agencies", 0, "name", to="a\x00b")),
    ("text-not-carried", "agencies[0].name", changed("agencies", 0, "name", to="a\ud800b")),
    ("text-not-carried", "agencies[0].name", changed("agencies", 0, "name", to="a\x1b[2Jb")),
    ("malformed-code", "agencies[0].code", changed("agencies", 0, "code", to="g22")),
    ("malformed-code", "agencies[1].older_codes[0]", changed("agencies", 1, "older_codes", 0, to="H")),
    ("value-malformed", "agencies[0].status", changed("agencies", 0, "status", to="on leave")),
    ("entry-repeated", "agencies[2]", changed("agencies", to=[*json.loads(DATA)["agencies"], AGENCY])),
    ("entry-repeated", "connections[1]", changed("connections", to=json.loads(DATA)["connections"] * 2)),
    ("entry-repeated", "anchors[1]", changed("anchors", to=json.loads(DATA)["anchors"] * 2)),
    (
        "value-malformed",
        "connections[0].seal_certificates[1]",
        changed("connections", 0, "seal_certificates", 1, to="*"),
    ),
    ("value-malformed", "anchors[0].certificate", changed("anchors", 0, "certificate", to="MIR=")),
    ("malformed-code", "anchors[0].prefixes[1]", changed("anchors", 0, "prefixes", 1, to="H")),
    ("member-malformed", "the whole", b"[]"),
    ("member-repeated", None, DATA.replace(b'"format":1', b'"format":1,"format":1')),
    ("not-json", None, DATA[:-1]),
    ("not-json", None, DATA + b"x"),
    ("not-json", None, DATA.replace(b'"format":1', b'"format":NaN')),
    ("not-json", None, DATA.replace(b'"format":1', b'"format":' + b"1" * 5000)),
    ("not-json", None, DATA.decode().encode("utf-8-sig")),
    ("too-deep", None, b"[" * 100_000),
    ("encoding-not-utf-8", None, DATA.replace(b"VPCP", b"\xff")),
    ("encoding-not-utf-8", None, DATA.decode().encode("utf-16")),
]


@pytest.mark.parametrize(
    ("code", "element", "data"), REFUSALS, ids=[f"{n}-{each[0]}" for n, each in enumerate(REFUSALS)]
)
def test_what_is_no_version_is_refused_by_the_members_path(code: str, element: str | None, data: bytes) -> None:
    """Each departure from the form is refused for its own reason, with the path of the member."""
    with pytest.raises(Rejected) as caught:
        read_version(data)
    assert (caught.value.code, caught.value.element) == (code, element)


@pytest.mark.parametrize(
    "version",
    [
        replace(VERSION, number=0),
        replace(VERSION, previous=""),
        replace(VERSION, agencies=VERSION.agencies * 2),
        replace(VERSION, connections=(ConnectionEntry(connection="c", name="\x00"),)),
        replace(VERSION, connections=(ConnectionEntry(connection="c", name="\ud800"),)),
        replace(VERSION, anchors=(AnchorEntry(certificate=b"", prefixes=("h31",)),)),
    ],
)
def test_what_no_node_could_read_is_not_written(version: DirectoryVersion) -> None:
    """The writer refuses what the reader would, before anything is signed."""
    with pytest.raises(Rejected):
        write_version(version)


def test_a_naive_time_is_not_written() -> None:
    """A time without a zone is a program's mistake."""
    with pytest.raises(ValueError, match="naive"):
        write_version(replace(VERSION, issued_at=AT.replace(tzinfo=None)))


def test_a_version_beyond_the_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is judged before anything is parsed."""
    monkeypatch.setattr(schemas.directory_codec, "MAX_BYTES", len(DATA))
    assert read_version(DATA) == VERSION
    with pytest.raises(LimitExceeded) as caught:
        read_version(DATA + b"[" * 10)
    assert caught.value.code == "message-too-large"
