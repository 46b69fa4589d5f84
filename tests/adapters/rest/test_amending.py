"""What software does over the API to documents that are out already, and who answers for what guards would refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.guards.protocol import Way
from adapters.guards.secrecy import open_secrecy
from adapters.rest.tokens import Scope
from adapters.sdk import Override
from node.usecases.guarding import Post
from schemas.message import BusinessType, Organ
from schemas.travel import parse_envelope, read_envelope
from tests.adapters.classic import classic
from tests.adapters.guards.guarded import context
from tests.adapters.rest.conftest import METADATA, Api, opened_api
from tests.adapters.rest.test_sending import sealed_document
from tests.node.core.asking import outbox_row
from tests.node.core.world import G22, H23, H31, World
from tests.services.columns import SqliteColumn

MARKED = {**METADATA, "subject": "V/v tài liệu MẬT"}
WHO = {"by": "Trần Văn B, Chánh Văn phòng", "reason": "Đã giải mật"}


async def sent(api: Api) -> str:
    _, answer = await api.submit(("a.pdf", b"%PDF-1.7"))
    await sealed_document(api, answer["message_id"])
    return str(answer["message_id"])


async def test_a_document_is_recalled_by_its_id_and_a_reason(api: Api) -> None:
    """The node writes the recall to all who have it; the key orders once; a refusal names its rule."""
    original = await sent(api)
    path = f"/v1/documents/{original}/recall"
    stranger = await api.ask("POST", path, body={"reason": "Nhầm", "to": ["H31"]}, key="r")
    assert (stranger[0], stranger[1]["code"]) == (422, "receiver-unknown")
    for blank in ({"reason": " "}, {"reason": "Nhầm", "to": []}, {}):
        assert (await api.ask("POST", path, body=blank, key="r"))[0] == 422
    for expected in (201, 200):
        status, answer = await api.ask("POST", path, body={"reason": "Ban hành nhầm"}, key="r")
        assert status == expected, answer
    other = await api.ask("POST", path, body={"reason": "Lý do khác"}, key="r")
    assert (other[0], other[1]["code"]) == (409, "key-conflict")
    document = await sealed_document(api, answer["message_id"])
    assert document.business is not None
    assert (document.business_type, document.business.reason) == (BusinessType.RECALL, "Ban hành nhầm")
    assert [one.organ_id for one in document.recipients] == [G22]
    envelope = read_envelope(parse_envelope(api.hub.accepted[answer["message_id"]].data))
    assert envelope.extension.about == (original,)
    _, listed = await api.ask("GET", f"/v1/documents/{answer['message_id']}")
    assert (listed["adapter"], listed["key"], listed["business"]) == ("test", "r", "recall")


async def test_a_document_is_updated_by_its_id_and_what_changes(api: Api) -> None:
    """Those who have it are told what it says now; a receiver who is added gets it whole, with its files."""
    original = await sent(api)
    path = f"/v1/documents/{original}/update"
    nothing = await api.ask("POST", path, body={"reason": "Gia hạn"}, key="u")
    assert (nothing[0], nothing[1]["code"]) == (422, "nothing-to-update")
    order = {"reason": "Gia hạn", "metadata": {"due_date": "2027-01-15"}, "add": ["H31"]}
    for expected in (201, 200):
        status, answer = await api.ask("POST", path, body=order, key="u")
        assert status == expected, answer
    document = await sealed_document(api, answer["message_id"])
    assert document.due_date is not None
    assert (document.business_type, document.due_date.text) == (BusinessType.UPDATE, "2027/01/15")
    companions = (await outbox_row(api.node, answer["message_id"])).companions
    (copy,) = [one.message_id for one in companions if one.role == "copy"]
    added = await sealed_document(api, copy)
    assert [one.organ_id for one in added.recipients] == [H31]
    assert [one.attachment_name for one in added.references] == ["a.pdf"]


async def test_documents_of_other_agencies_are_neither_recalled_nor_updated(api: Api) -> None:
    """Under a token for another agency the document does not exist; nor does one that was never sent."""
    original = await sent(api)
    unit = api.new_token(Scope.SUBMIT, agencies=["H23.12"])
    for verb in ("recall", "update"):
        for message_id, token in ((original, unit), ("0" * 64, None)):
            path = f"/v1/documents/{message_id}/{verb}"
            status, answer = await api.ask("POST", path, body={"reason": "Nhầm"}, key="x", token=token)
            assert (status, answer["code"]) == (404, "document-not-sent")


@pytest.fixture
async def guarded(tmp_path: Path, keys: World, sqlite_column: SqliteColumn) -> AsyncIterator[Api]:
    """A node that reads words."""
    guard = await open_secrecy(context("secrecy"))
    post = Post("secrecy", guard, frozenset(Way), timeout=60.0)
    async with opened_api(tmp_path, keys, sqlite_column, posts=[post]) as api:
        yield api
    sqlite_column.forget()


async def test_a_person_answers_for_a_mark_of_secrecy(guarded: Api) -> None:
    """With the scope, a marked document goes; who answers and why are signed with it and stand in its story."""
    refused = await guarded.submit(metadata=MARKED)
    assert (refused[0], refused[1]["code"]) == (422, "secrecy-mark")
    unscoped = guarded.new_token(Scope.SUBMIT)
    denied = await guarded.submit(metadata=MARKED, override=WHO, token=unscoped)
    assert (denied[0], denied[1]["code"]) == (403, "scope-missing")
    for half in ({"by": "Trần Văn B"}, {**WHO, "reason": " "}, {**WHO, "by": "x" * 301}, "Trần Văn B"):
        malformed = await guarded.submit(metadata=MARKED, override=half)
        assert (malformed[0], malformed[1]["code"]) == (422, "override-malformed")
    status, answer = await guarded.submit(metadata=MARKED, override=WHO, token=guarded.new_token())
    assert status == 201, answer
    await sealed_document(guarded, answer["message_id"])
    envelope = read_envelope(parse_envelope(guarded.hub.accepted[answer["message_id"]].data))
    assert envelope.extension.override == Override(**WHO)
    assert (await outbox_row(guarded.node, answer["message_id"])).override == Override(**WHO)


async def test_nobody_answers_for_a_level_of_secrecy(guarded: Api) -> None:
    """What the metadata mark as a state secret goes by no override, neither as a document nor in an update of one."""
    level = {"secrecy": "Mật"}
    status, answer = await guarded.submit(metadata=METADATA | level, override=WHO)
    assert (status, answer["code"]) == (422, "state-secret")
    original = await sent(guarded)
    order = {"reason": "Sửa", "metadata": level, "override": WHO}
    status, answer = await guarded.ask("POST", f"/v1/documents/{original}/update", body=order, key="u")
    assert (status, answer["code"]) == (422, "state-secret")


async def test_a_person_answers_for_a_classic_file_and_for_an_update(guarded: Api) -> None:
    """The same holds for a classic file, by its query, and for an update that brings a mark, in its JSON."""
    content = classic({}, subject=MARKED["subject"], sender=Organ(organ_id=H23), recipients=(Organ(organ_id=G22),))
    headers = {"Content-Type": "application/xml"}
    both = {f"override_{name}": text for name, text in WHO.items()}
    for params, expected in (
        ({}, (422, "secrecy-mark")),
        ({"override_by": WHO["by"]}, (400, "parameter-invalid")),
        (both, (201, None)),
    ):
        status, answer = await guarded.ask("POST", "/v1/edxml", data=content, key="c", headers=headers, params=params)
        assert (status, answer.get("code")) == expected
    denied = guarded.new_token(Scope.SUBMIT)
    path = f"/v1/documents/{answer['message_id']}/update"
    order = {"reason": "Sửa", "metadata": {"subject": "Kế hoạch TỐI MẬT"}}
    for more, token, expected in (
        ({}, None, (422, "secrecy-mark")),
        ({"override": WHO}, denied, (403, "scope-missing")),
        ({"override": WHO}, None, (201, None)),
    ):
        status, answer = await guarded.ask("POST", path, body=order | more, key="u", token=token)
        assert (status, answer.get("code")) == expected
