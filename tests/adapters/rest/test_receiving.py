"""Looking, locking, fetching and confirming, as a DMS does it; and the statuses that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.rest.tokens import Scope
from node.store.states import HandoverState
from schemas.classic_reader import read_classic
from schemas.message import Document
from tests.adapters.rest.conftest import Api
from tests.node.core.asking import handed, statuses_sent
from tests.node.core.node_under_test import eventually
from tests.node.core.world import G22, H23, H23_12, World, document, envelope


def path_of(message: dict[str, Any]) -> str:
    return f"/v1/inbox/{message['message_id']}/{message['recipient']}"


def arrive(api: Api, world: World, *contents: bytes, count: int = 1) -> list[str]:
    """Documents from G22 for H23 in the node's mailbox; gives their ids."""
    ids = []
    for number in range(count):
        sealed = world.sealed(envelope(document(G22, H23), *contents, submission_id=f"{number}"))
        api.hub.deliver(sealed.data, [H23], contents)
        ids.append(sealed.message_id)
    return ids


async def test_a_message_stays_until_it_is_confirmed(api: Api, keys: World) -> None:
    """A listed document is fetched as often as one likes; once it is accepted it is handed over, and listed no more."""
    [message_id] = arrive(api, keys)
    async with api.node.running():
        [listed] = await api.waits(1)
        assert (listed["message_id"], listed["kind"], listed["from"]) == (message_id, "document", "G22")
        assert (await api.ask("GET", "/v1/inbox/count"))[1] == {"documents": 1, "statuses": 0}
        for _ in range(2):
            status, fetched = await api.ask("GET", path_of(listed))
            assert (status, fetched["message"]["subject"]) == (200, listed["subject"])
        for _ in range(2):
            status, confirmed = await api.ask("POST", f"{path_of(listed)}/confirm", body={"outcome": "accepted"})
            assert (status, confirmed["outcome"]) == (200, "accepted")
        await handed(api.node, message_id, HandoverState.HANDED_OVER)
        assert await api.waits(0) == []
        status, problem = await api.ask(
            "POST", f"{path_of(listed)}/confirm", body={"outcome": "refused", "reason": "Sai"}
        )
        assert (status, problem["code"]) == (409, "delivery-settled")


async def test_what_is_refused_or_failed_needs_a_reason_and_goes_its_way(api: Api, keys: World) -> None:
    """A refusal goes back as status 02; what failed is parked, listed on demand, and may be accepted after all."""
    arrive(api, keys, count=2)
    async with api.node.running():
        first, second = await api.waits(2)
        status, problem = await api.ask("POST", f"{path_of(first)}/confirm", body={"outcome": "refused"})
        assert (status, problem["code"]) == (422, "reason-missing")
        await api.ask("POST", f"{path_of(first)}/confirm", body={"outcome": "refused", "reason": "Sai thẩm quyền"})
        await api.ask("POST", f"{path_of(second)}/confirm", body={"outcome": "failed", "reason": "Tệp hỏng"})
        assert await api.waits(0) == []
        _, parked = await api.ask("GET", "/v1/inbox", params={"parked": "true"})
        assert [one["parked"] for one in parked["messages"]] == ["Tệp hỏng"]
        assert (await api.ask("POST", f"{path_of(second)}/confirm", body={"outcome": "accepted"}))[0] == 200
        await handed(api.node, second["message_id"], HandoverState.HANDED_OVER)
    assert ("02", first["message_id"]) in await statuses_sent(api.node)


async def test_a_lock_keeps_others_from_confirming(api: Api, keys: World) -> None:
    """Of two workers that lock, each gets its own messages; only the lock confirms, until it is given up."""
    arrive(api, keys, count=3)
    async with api.node.running():
        await api.waits(3)
        _, mine = await api.ask("POST", "/v1/inbox/lock", body={"seconds": 60, "limit": 2})
        _, others = await api.ask("POST", "/v1/inbox/lock", body={"seconds": 60, "limit": 2})
        assert (len(mine["messages"]), len(others["messages"])) == (2, 1)
        _, none = await api.ask("POST", "/v1/inbox/lock", body={"seconds": 60})
        assert none == {"messages": []}
        path = f"{path_of(mine['messages'][0])}/confirm"
        for lock in ({}, {"lock": others["lock"]}):
            status, problem = await api.ask("POST", path, body={"outcome": "accepted", **lock})
            assert (status, problem["code"]) == (409, "delivery-locked")
        assert (await api.ask("POST", path, body={"outcome": "accepted", "lock": mine["lock"]}))[0] == 200
        await api.ask("POST", "/v1/inbox/unlock", body={"lock": mine["lock"], "messages": mine["messages"][1:]})
        assert (await api.ask("POST", f"{path_of(mine['messages'][1])}/confirm", body={"outcome": "accepted"}))[
            0
        ] == 200
        status, problem = await api.ask("POST", "/v1/inbox/lock", body={"seconds": 7200})
        assert (status, problem["code"]) == (422, "lock-too-long")


async def test_a_lock_is_the_nodes_word(api: Api, keys: World) -> None:
    """A lock of the caller's own making renews, frees and confirms nothing: two who took the same word would share it,
    and one longer than the node's own, or with a NUL, no database server takes."""
    arrive(api, keys)
    async with api.node.running():
        [listed] = await api.waits(1)
        keyed = {"messages": [{"message_id": listed["message_id"], "recipient": listed["recipient"]}]}
        for word in ("worker", "f" * 33, "\0" * 32):
            for path, body in (
                ("/v1/inbox/lock", {"seconds": 60, "renew": word}),
                ("/v1/inbox/unlock", {"lock": word, **keyed}),
                (f"{path_of(listed)}/confirm", {"outcome": "accepted", "lock": word}),
            ):
                status, problem = await api.ask("POST", path, body=body)
                assert (status, problem["code"]) == (422, "body-invalid")
        [listed] = await api.waits(1)
        assert "locked_until" not in listed
        status, problem = await api.ask("GET", "/v1/agencies", params={"query": "G22\0"})
        assert (status, problem["element"]) == (400, "query")


async def test_a_message_is_fetched_in_every_form(api: Api, keys: World, tmp_path: Path) -> None:
    """As JSON, as classic edXML with its attachments inside, as the sealed bytes, and each attachment by itself."""
    contents = (b"%PDF-1.7", b"\0" * 300_000)
    sealed = keys.sealed(envelope(document(G22, H23), *contents))
    api.hub.deliver(sealed.data, [H23], contents)
    async with api.node.running():
        [listed] = await api.waits(1)
        path = path_of(listed)
        _, fetched = await api.ask("GET", path)
        assert [(one["name"], one["size"]) for one in fetched["attachments"]] == [
            ("tài liệu 1.pdf", len(contents[0])),
            ("tài liệu 2.pdf", len(contents[1])),
        ]
        for attachment, content in zip(fetched["attachments"], contents, strict=True):
            assert await api.ask("GET", attachment["path"]) == (200, content)
        assert await api.ask("GET", f"{path}/envelope") == (200, sealed.data)
        status, edxml = await api.ask("GET", f"{path}/edxml")
    assert status == 200
    classic = read_classic([edxml], lambda _index: _Discarding(), source="fetched")
    assert isinstance(classic.message, Document)
    assert [one.size for one in classic.attachments] == [len(content) for content in contents]


class _Discarding:
    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def discard(self) -> None: ...


async def test_an_attachment_is_fetched_in_ranges(api: Api, keys: World) -> None:
    """Ranges give exactly their bytes; one of another version, or beyond the end, is answered as RFC 9110 says."""
    content = bytes(range(256)) * 1000
    arrive(api, keys, content)
    async with api.node.running():
        [listed] = await api.waits(1)
        path = f"{path_of(listed)}/attachments/1"
        headers = {"Authorization": f"Bearer {api.token}"}
        for asked, expected in (
            ("bytes=0-0", content[:1]),
            ("bytes=100000-", content[100_000:]),
            ("bytes=-5", content[-5:]),
            ("bytes=10-999999999", content[10:]),
        ):
            async with api.session.get(path, headers={**headers, "Range": asked}) as answer:
                assert (answer.status, await answer.read()) == (206, expected)
                first = len(content) - len(expected) if not asked.endswith("0-0") else 0
                assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(content)}"
                etag = answer.headers["ETag"]
        for whole in ({"Range": "bytes=0-1,3-4"}, {"Range": "bytes=0-0", "If-Range": '"other"'}):
            async with api.session.get(path, headers={**headers, **whole}) as answer:
                assert (answer.status, await answer.read()) == (200, content)
        async with api.session.get(path, headers={**headers, "Range": "bytes=5-", "If-Range": etag}) as answer:
            assert (answer.status, await answer.read()) == (206, content[5:])
        status, problem = await api.ask("GET", path, headers={"Range": f"bytes={len(content)}-"})
        assert (status, problem["code"]) == (416, "range")
        for unknown in ("0", "2", "99999999999999999999", "x"):
            status, problem = await api.ask("GET", f"{path_of(listed)}/attachments/{unknown}")
            assert (status, problem["code"]) == (404, "attachment-unknown")


async def test_a_hostile_name_is_no_header_and_no_path(api: Api, keys: World) -> None:
    """What a sender calls a file reaches neither the headers nor the disk as it is; a browser runs none of it."""
    arrive(api, keys, b"<script>")
    async with api.node.running():
        [listed] = await api.waits(1)
        headers = {"Authorization": f"Bearer {api.token}"}
        async with api.session.get(f"{path_of(listed)}/attachments/1", headers=headers) as answer:
            assert answer.content_type == "application/octet-stream"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            disposition = answer.headers["Content-Disposition"]
            assert disposition == "attachment; filename*=UTF-8''t%C3%A0i%20li%E1%BB%87u%201.pdf"


async def test_a_token_receives_for_its_own_agencies_alone(api: Api, keys: World) -> None:
    """What is for another agency of the node is as unknown to a bound token as what does not exist."""
    sealed = keys.sealed(envelope(document(G22, H23, H23_12)))
    api.hub.deliver(sealed.data, [H23, H23_12])
    token = api.new_token(Scope.RECEIVE, agencies=["H23.12"])
    async with api.node.running():
        await api.waits(2)
        _, listed = await api.ask("GET", "/v1/inbox", token=token)
        assert [one["recipient"] for one in listed["messages"]] == ["H23.12"]
        assert (await api.ask("GET", "/v1/inbox/count", token=token))[1]["documents"] == 1
        assert (await api.ask("GET", "/v1/inbox", token=token, params={"recipient": "H23"}))[1] == {"messages": []}
        path = f"/v1/inbox/{sealed.message_id}/H23"
        unknown = f"/v1/inbox/{'0' * 64}/H23.12"
        for method, end, body in (
            ("GET", "", None),
            ("GET", "/edxml", None),
            ("GET", "/envelope", None),
            ("GET", "/attachments/1", None),
            ("POST", "/confirm", {"outcome": "accepted"}),
        ):
            for each in (path, unknown):
                status, problem = await api.ask(method, each + end, body=body, token=token)
                assert (status, problem["code"]) == (404, "delivery-unknown")
        keyed = {"message_id": sealed.message_id, "recipient": "H23"}
        _, locked = await api.ask("POST", "/v1/inbox/lock", body={"seconds": 5, "messages": [keyed]}, token=token)
        assert locked == {"messages": []}


async def test_statuses_are_reported_once_and_in_order(api: Api, keys: World) -> None:
    """A status goes to the sender once per key; one out of order, of a stranger or without reason is refused."""
    [message_id] = arrive(api, keys)
    said = {"message_id": message_id, "agency": "H23", "status": "03"}
    async with api.node.running():
        [listed] = await api.waits(1)
        await api.ask("POST", f"{path_of(listed)}/confirm", body={"outcome": "accepted"})
        for expected in (201, 200):
            assert (await api.ask("POST", "/v1/statuses", body=said, key="s"))[0] == expected
        finished = {**said, "status": "06", "staff": {"staff": "Trần Văn Bình"}}
        assert (await api.ask("POST", "/v1/statuses", body=finished, key="f"))[0] == 201
        status, problem = await api.ask("POST", "/v1/statuses", body={**said, "status": "04"}, key="x")
        assert (status, problem["code"]) == (409, "status-transition")
        other = {**said, "message_id": "0" * 64}
        status, problem = await api.ask("POST", "/v1/statuses", body=other, key="o")
        assert (status, problem["code"]) == (404, "delivery-unknown")
        await eventually(lambda: len(api.hub.accepted) == 3)
    assert [status for status, _ in await statuses_sent(api.node)] == ["01", "03", "06"]


async def test_a_document_sent_is_taken_back(api: Api) -> None:
    """Status 13 is the sender's own word about a document that it sent."""
    _, sent = await api.submit()
    async with api.node.running():
        await eventually(lambda: len(api.hub.accepted) == 1)
        said = {"message_id": sent["message_id"], "agency": "H23", "status": "13", "reason": "Gửi nhầm"}
        status, answer = await api.ask("POST", "/v1/statuses", body=said, key="13")
        assert status == 201, answer
        await eventually(lambda: len(api.hub.accepted) == 2)


async def test_agencies_are_found_by_code_and_by_name(api: Api) -> None:
    """The directory answers to the beginning of a code, to words without marks, and to older codes."""
    _, found = await api.ask("GET", "/v1/agencies", params={"query": "hai duong", "under": "H23"})
    assert [one["code"] for one in found["agencies"]] == ["H23", "H23.12"]
    _, page = await api.ask("GET", "/v1/agencies", params={"limit": 1})
    assert [one["code"] for one in page["agencies"]] == ["G22"]
    _, behind = await api.ask("GET", "/v1/agencies", params={"limit": 3, "after": page["next"]})
    assert [one["code"] for one in behind["agencies"]] == ["H23", "H23.12", "H31"]
    assert (await api.ask("GET", "/v1/agencies/000.00.00.H31"))[1]["code"] == "H31"
    status, problem = await api.ask("GET", "/v1/agencies/H99")
    assert (status, problem["code"]) == (404, "agency-unknown")
