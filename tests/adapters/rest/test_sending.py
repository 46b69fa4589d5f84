"""Documents that software submits over the API, and where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.rest.tokens import Scope
from node.store.states import OutboxState
from schemas.message import BusinessType, Document, Organ
from schemas.travel import parse_envelope, read_envelope
from tests.adapters.classic import classic
from tests.adapters.rest.conftest import METADATA, Api, form, opened_api
from tests.node.core.asking import becomes
from tests.node.core.world import G22, H23, World
from tests.services.columns import SqliteColumn


async def sealed_document(api: Api, message_id: str) -> Document:
    """The document as the hub got it."""
    async with api.node.running("sender"):
        await becomes(api.node, message_id, OutboxState.ACCEPTED)
    message = read_envelope(parse_envelope(api.hub.accepted[message_id].data)).message
    assert isinstance(message, Document)
    return message


async def test_a_document_is_sent_as_its_form_says(api: Api) -> None:
    """Metadata and files of a form become a sealed document with these files, their names in any script."""
    files = [("tờ trình.pdf", b"%PDF-1.7 \r\n--boundary"), ('bảng "1".csv', b""), ("lớn.bin", b"\0\r\n" * 200_000)]
    status, answer = await api.submit(*files)
    assert (status, answer["repeated"]) == (201, False)
    document = await sealed_document(api, answer["message_id"])
    assert document.subject == METADATA["subject"]
    assert [(one.attachment_name, one.content_type) for one in document.references] == [
        ("tờ trình.pdf", "application/pdf"),
        ('bảng "1".csv', "text/csv"),
        ("lớn.bin", "application/octet-stream"),
    ]
    accepted = api.hub.accepted[answer["message_id"]]
    assert sorted(accepted.brought.values()) == sorted(content for _, content in files)


async def test_a_key_sends_once(api: Api) -> None:
    """The same key with the same form is the same message; with another file, or other metadata, it is a conflict."""
    first = await api.submit(("a.pdf", b"1"))
    again = await api.submit(("a.pdf", b"1"))
    assert (first[0], again[0]) == (201, 200)
    assert again[1] == {"message_id": first[1]["message_id"], "repeated": True}
    for changed in (
        await api.submit(("a.pdf", b"2")),
        await api.submit(("b.pdf", b"1")),
        await api.submit(("a.pdf", b"1"), metadata={**METADATA, "subject": "Khác"}),
    ):
        assert (changed[0], changed[1]["code"]) == (409, "key-conflict")
    assert len(await api.node.queries.outbox()) == 1


async def test_a_classic_file_is_sent(api: Api) -> None:
    """A classic edXML file is submitted as it is; its key works as that of a form does."""
    content = classic({"6111.pdf": b"%PDF"}, sender=Organ(organ_id=H23), recipients=(Organ(organ_id=G22),))
    headers = {"Content-Type": "application/xml"}
    for expected in (201, 200):
        status, answer = await api.ask("POST", "/v1/edxml", data=content, key="c", headers=headers)
        assert status == expected, answer
    document = await sealed_document(api, answer["message_id"])
    assert [one.attachment_name for one in document.references] == ["6111.pdf"]


async def test_recipients_by_rule_stand_beside_a_classic_file(api: Api) -> None:
    """The parameter `to` selects recipients; one that is malformed is refused by its rule."""
    content = classic({}, sender=Organ(organ_id=H23), recipients=(Organ(organ_id=G22),))
    headers = {"Content-Type": "application/xml"}
    bad = await api.ask("POST", "/v1/edxml", data=content, key="s", headers=headers, params={"to": "H31*"})
    assert (bad[0], bad[1]["code"]) == (422, "selector-malformed")
    good = await api.ask("POST", "/v1/edxml", data=content, key="s", headers=headers, params={"to": "H31.*"})
    assert good[0] == 201
    async with api.node.running("sender"):
        await becomes(api.node, good[1]["message_id"], OutboxState.ACCEPTED)
    envelope = read_envelope(parse_envelope(api.hub.accepted[good[1]["message_id"]].data))
    assert [selector.value for selector in envelope.extension.selectors] == ["H31"]


@pytest.mark.parametrize(
    ("verb", "business"),
    [("recall", BusinessType.RECALL), ("update", BusinessType.UPDATE), ("replace", BusinessType.REPLACE)],
)
async def test_a_document_sent_is_recalled_updated_and_replaced(api: Api, verb: str, business: BusinessType) -> None:
    """Each verb sends a document that does that to the one in the path, to its recipients, by its sender."""
    _, original = await api.submit()
    sent = await sealed_document(api, original["message_id"])
    metadata = {name: value for name, value in METADATA.items() if name not in ("to", "from")}
    metadata |= {"code": "6102/UBND-VP", "business": {"reason": "Ban hành nhầm"}}
    path = f"/v1/documents/{original['message_id']}/{verb}"
    status, answer = await api.submit(metadata=metadata, key="2", path=path)
    assert status == 201, answer
    document = await sealed_document(api, answer["message_id"])
    assert document.business is not None
    assert (document.business_type, document.business.reason) == (business, "Ban hành nhầm")
    assert [one.organ_id for one in document.recipients] == [one.organ_id for one in sent.recipients]
    envelope = read_envelope(parse_envelope(api.hub.accepted[answer["message_id"]].data))
    assert envelope.extension.about == (original["message_id"],)


async def test_what_was_sent_is_listed_with_its_standing(api: Api) -> None:
    """The list has each document with its recipients, page by page; one document is found by its id."""
    ids = [
        (await api.submit(metadata={**METADATA, "code": f"{n}/UBND-VP"}, key=str(n)))[1]["message_id"] for n in range(3)
    ]
    _, first = await api.ask("GET", "/v1/documents", params={"limit": 2})
    _, second = await api.ask("GET", "/v1/documents", params={"limit": 2, "after": first["next"]})
    assert [one["message_id"] for one in first["documents"] + second["documents"]] == ids[::-1]
    assert "next" not in second
    status, one = await api.ask("GET", f"/v1/documents/{ids[0]}")
    assert (status, one["key"], one["from"]) == (200, "0", "H23")
    assert one["standings"] == {"waiting": 1}
    assert [(each["agency"], each["delivery"]) for each in one["recipients"]] == [("G22", "waiting")]
    _, by_id = await api.ask("GET", "/v1/documents", params={"document_id": one["document_id"]})
    assert [each["message_id"] for each in by_id["documents"]] == [ids[0]]


async def test_a_token_sends_and_sees_for_its_own_agencies_alone(api: Api) -> None:
    """A token bound to an agency neither sends for another one nor sees what that one sent."""
    token = api.new_token(Scope.SUBMIT, Scope.SENT, agencies=["H23.12"])
    refused = await api.submit(token=token)
    assert (refused[0], refused[1]["code"]) == (403, "agency-not-granted")
    _, hidden = await api.submit()
    assert await api.ask("GET", "/v1/documents", token=token) == (200, {"documents": []})
    assert (await api.ask("GET", "/v1/documents", token=token, params={"sender": "H23"}))[1] == {"documents": []}
    unseen = await api.ask("GET", f"/v1/documents/{hidden['message_id']}", token=token)
    unknown = await api.ask("GET", f"/v1/documents/{'0' * 64}", token=token)
    assert (unseen[0], unseen[1]["code"]) == (unknown[0], unknown[1]["code"]) == (404, "document-not-sent")
    metadata = {name: value for name, value in METADATA.items() if name != "from"}
    status, sent = await api.submit(metadata=metadata, token=token)
    assert status == 201
    assert (await api.ask("GET", f"/v1/documents/{sent['message_id']}", token=token))[1]["from"] == "H23.12"


DAMAGED = (
    (b"", "request-malformed"),
    (b"--b\r\n", "part-unknown"),
    (b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}', "request-malformed"),
    (b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\n{}\r\n--b--\r\n', "part-unknown"),
    (b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n[]\r\n--b--\r\n', "metadata-syntax"),
    (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n', "metadata-missing"),
    (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n', "attachment-nameless"),
    (b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}\r\n' * 2 + b"--b--\r\n", "part-repeated"),
)


async def test_a_damaged_form_is_refused_by_its_rule(api: Api) -> None:
    """A body that is no such form gets a problem that names what is wrong, and sends nothing."""
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for parts, code in DAMAGED:
        status, problem = await api.ask("POST", "/v1/documents", data=parts, key="1", headers=headers)
        assert (400 <= status < 500, problem["code"]) == (True, code), parts
        assert not problem["retryable"]
    assert not await api.node.queries.outbox()


async def test_limits_hold_while_a_form_is_read(tmp_path: Path, keys: World, sqlite_column: SqliteColumn) -> None:
    """A file, all files, their number, the metadata: past its limit each is refused, and nothing stays in the spool."""
    limits = {"attachment_bytes": 1000, "message_attachment_bytes": 1500, "attachments": 3, "json_bytes": 4096}
    async with opened_api(tmp_path, keys, sqlite_column, **limits) as api:
        long = {**METADATA, "content": "x" * 5000}
        for files, metadata, code in (
            ([("a", b"x" * 1001)], METADATA, "attachment-too-large"),
            ([("a", b"x" * 1000), ("b", b"x" * 501)], METADATA, "attachment-too-large"),
            ([("a", b""), ("b", b""), ("c", b""), ("d", b"")], METADATA, "too-many-attachments"),
            ([], long, "metadata-too-large"),
        ):
            status, problem = await api.submit(*files, metadata=metadata)
            assert (status, problem["code"]) == (413, code)
        assert list((api.folder / "spool").iterdir()) == []
        assert (await api.submit(("a", b"x" * 1000), ("b", b"x" * 500)))[0] == 201
    sqlite_column.forget()


async def test_no_key_no_document(api: Api) -> None:
    """Without an Idempotency-Key nothing is sent: a retry after a lost answer would send twice."""
    status, problem = await api.ask("POST", "/v1/documents", data=form())
    assert (status, problem["code"]) == (400, "key-malformed")


async def test_what_the_node_refuses_is_told_as_a_problem(api: Api) -> None:
    """The rule, the place and the mend of a refusal by the node stand in the problem document."""
    status, problem = await api.submit(metadata={**METADATA, "to": ["H99"]})
    assert (status, problem["type"]) == (422, "urn:congvan:problem:recipient-unknown")
    status, problem = await api.submit(metadata={**METADATA, "subjekt": 1})
    assert (status, problem["code"]) == (422, "metadata-invalid")
    assert "subject" in problem["detail"]
    status, problem = await api.submit(metadata={**METADATA, "secrecy": "mật"})
    assert (status, problem["code"]) == (422, "state-secret")
