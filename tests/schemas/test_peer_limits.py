"""What peers cut or refuse: each text has its own limit, and the finding names its element."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.codes import AgencyCode
from schemas.message import Document, Organ, Reference, ResponseFor, StaffInfo, StatusCode, StatusMessage
from schemas.metadata import document_from_metadata
from schemas.peer_limits import beyond_peer_limits
from schemas.times import TimestampText

H23 = Organ(organ_id=AgencyCode.parse("H23"))


def document(field: str, text: str) -> Document:
    metadata: dict[str, object] = {"subject": "x", "code": "1/x", "place": "x", "signer": "x"}
    made = document_from_metadata(
        metadata, sender=H23, recipients=[H23.organ_id], now=datetime(2026, 11, 20, tzinfo=UTC), attachments=()
    )
    if made.business is None:
        raise AssertionError("a document made from metadata has a Bussiness")
    changes: dict[str, Document] = {
        "MessageHeader/From/OrganName": replace(made, sender=replace(H23, organ_name=text)),
        "MessageHeader/From/OrganizationInCharge": replace(made, sender=replace(H23, organization_in_charge=text)),
        "MessageHeader/To[2]/OrganAdd": replace(made, recipients=(H23, replace(H23, organ_add=text))),
        "MessageHeader/Code/CodeNumber": replace(made, code=replace(made.code, number=text)),
        "MessageHeader/Code/CodeNotation": replace(made, code=replace(made.code, notation=text)),
        "MessageHeader/PromulgationInfo/Place": replace(made, promulgation=replace(made.promulgation, place=text)),
        "MessageHeader/Subject": replace(made, subject=text),
        "MessageHeader/Content": replace(made, content=text),
        "MessageHeader/SignerInfo/FullName": replace(made, signer=replace(made.signer, full_name=text)),
        "TraceHeaderList/Bussiness/StaffInfo/Department": replace(
            made, business=replace(made.business, staff=StaffInfo(department=text))
        ),
        "edXMLManifest/Reference[1]/AttachmentName": replace(
            made, references=(Reference(content_id="1", content_type="x", attachment_name=text, description="x"),)
        ),
    }
    return changes[field]


@pytest.mark.parametrize(
    ("element", "most"),
    [
        ("MessageHeader/From/OrganName", 500),
        ("MessageHeader/From/OrganizationInCharge", 500),
        ("MessageHeader/To[2]/OrganAdd", 500),
        ("MessageHeader/Code/CodeNumber", 11),
        ("MessageHeader/Code/CodeNotation", 30),
        ("MessageHeader/PromulgationInfo/Place", 50),
        ("MessageHeader/Subject", 500),
        ("MessageHeader/Content", 500),
        ("MessageHeader/SignerInfo/FullName", 50),
        ("TraceHeaderList/Bussiness/StaffInfo/Department", 100),
        ("edXMLManifest/Reference[1]/AttachmentName", 500),
    ],
)
def test_one_letter_more_than_peers_take_is_found(element: str, most: int) -> None:
    """Letters count, not bytes: the limit itself passes, one more is a finding at its element."""
    assert beyond_peer_limits(document(element, "ế" * most)) == ()
    (finding,) = beyond_peer_limits(document(element, "ế" * (most + 1)))
    assert (finding.code, finding.element, finding.strict_refuses) == ("text-beyond-peers", element, True)
    assert f"{most + 1} characters" in finding.message


def test_a_status_has_limits_too() -> None:
    """Each field of a status's StaffInfo holds 100 letters."""
    status = StatusMessage(
        sender=H23,
        response_for=ResponseFor(document_id="x"),
        staff=StaffInfo(staff="ế" * 101, mobile="0" * 100),
        status_code=StatusCode.ARRIVED,
        timestamp=TimestampText("2026/11/20 08:15:00"),
    )
    assert [finding.element for finding in beyond_peer_limits(status)] == ["MessageHeader/StaffInfo/Staff"]
