"""What arrived: listed, counted, fetched in both ways, and settled."""

from __future__ import annotations

import base64
import dataclasses
import io
import zipfile
from typing import Any

import pytest
from lxml import etree

from adapters.sdk import Accepted, Awaiting, DeliveryKey, Never
from schemas.classic_reader import read_classic
from schemas.message import Document
from tests.adapters.classic import classic
from tests.adapters.simulator import NodeSimulator, reference
from tests.adapters.test_filedrop_in import Sinks
from tests.adapters.vxp.conftest import Opener, Site
from tests.schemas.samples import DOCUMENT, STATUS, organ

QCVN = "{http://www.mic.gov.vn/TBT/QCVN_102_2016}"
FILES = [
    ("6111.pdf", b"%PDF-1.4 " + bytes(20_000)),
    ("../../hồ sơ.docx", b"khong phai zip"),
    ("lưu trữ.zip", b"PK\x05\x06" + bytes(18)),
    ("không đuôi", b""),
]


def offer(site: Site, recipient: str = "G22", files: list[tuple[str, bytes]] = FILES, **changes: Any) -> DeliveryKey:
    changes = {"sender": organ("H23", "UBND tỉnh Hải Dương"), "recipients": (organ("G22"),), **changes}
    document = dataclasses.replace(DOCUMENT, references=tuple(reference(*file) for file in files), **changes)
    return site.node.arrives(document, recipient, attachments=files)


def offer_status(site: Site) -> DeliveryKey:
    return site.node.arrives(STATUS)


async def listed(site: Site, messagetype: str = "edoc", system: str = "demo.system.01") -> list[dict[str, Any]]:
    answer = await site.client(system).post("getReceivedEdocList", servicetype="eDoc", messagetype=messagetype)
    rows: list[dict[str, Any]] = answer.ok["data"]
    return rows


async def test_what_arrived_is_listed(site: Site) -> None:
    """A row has every member that the SDK reads, each a text; its docId can name a file."""
    key = offer(site)
    (row,) = await listed(site)
    assert row == {
        "docId": str(key),
        "serviceType": "eDoc",
        "messageType": "edoc",
        "from": "H23",
        "to": "G22",
        "status": "initial",
        "status_desc": "Not fetched yet",
        "created_time": "2026/11/20 08:30:00",
        "updated_time": "2026/11/20 08:30:00",
    }
    assert "/" not in row["docId"]


async def test_documents_and_statuses_are_listed_and_counted_apart(site: Site) -> None:
    """messagetype decides, and the two counts agree with the two lists."""
    document, status = offer(site), offer_status(site)
    assert [row["docId"] for row in await listed(site)] == [str(document)]
    assert [row["docId"] for row in await listed(site, "status")] == [str(status)]
    for operation in ("countReceiveEdoc", "countReceiveStatus"):
        assert (await site.client().post(operation, b"{}")).ok["count"] == 1


async def test_stale_parameters_filter_nothing(site: Site) -> None:
    """A service object repeats docId, status and from of its earlier calls: the list is the whole list."""
    offer(site)
    answer = await site.client().post(
        "getReceivedEdocList", messagetype="edoc", docId="other", docid="another", status="done", **{"from": "K99"}
    )
    assert len(answer.ok["data"]) == 1


async def test_a_list_goes_on_over_pages_and_ends_at_its_length(open_site: Opener) -> None:
    """There are no pages in the API: the list holds up to so many as the settings say, the others come later."""
    async with open_site(list_length=700) as site:
        keys = [offer(site, files=[], document_id=f"H23,2026/11/02,{number}/A") for number in range(701)]
        rows = await listed(site)
        assert [row["docId"] for row in rows] == sorted(map(str, keys))[:700]


async def test_a_system_sees_its_own_agencies_alone(site: Site) -> None:
    """What came for another agency of the node is neither listed nor counted nor fetched nor settled."""
    key = offer(site, "G22")
    own = offer(site, "G22.01")
    client = site.client("unit.system.02")
    assert [row["docId"] for row in await listed(site, system="unit.system.02")] == [str(own)]
    assert (await client.post("countReceiveEdoc", b"{}")).ok["count"] == 1
    assert (await client.post("getEdoc", b"{}", docId=str(key))).failure["ErrorCode"] == "404"
    assert (await client.post("updateStatus", b"{}", docId=str(key), status="done")).failure["ErrorCode"] == "404"
    assert (await client.download(docId=str(key))).status == 204
    assert site.node.settled == {}


async def fetched(site: Site, key: DeliveryKey) -> bytes:
    """What getEdoc gives, after downloadEdoc gave the same."""
    answer = await site.client().post("getEdoc", b"{}", docId=str(key), filePath="C:\\van ban den")
    data = base64.b64decode(answer.ok["data"], validate=True)
    download = await site.client().download(docId=str(key), filePath="/tmp/x")
    assert (download.status, download.body) == (200, data)
    assert int(download.headers["content-length"]) == len(data)
    await site.spool_is(empty=True)
    return data


async def test_both_ways_of_fetching_give_the_classic_form(site: Site) -> None:
    """getEdoc and downloadEdoc give one file, byte for byte, that reads back as the document with its attachments."""
    data = await fetched(site, offer(site))
    sinks = Sinks()
    read = read_classic([data], sinks.open, source="fetched")
    assert isinstance(read.message, Document)
    assert read.message.subject == DOCUMENT.subject
    assert read.message.sender.organ_id.value == "H23"
    assert [(one.name, sinks.contents[one.index]) for one in read.attachments] == FILES
    data.decode("utf-8")


async def test_the_file_is_what_strict_readers_need(site: Site) -> None:
    """Section 9: QCVN's namespace, no white space in texts, five elements an attachment, one flat entry by a UUID in
    its ZIP, no two alike; a real .zip as it is; no DOCTYPE and no Signature."""
    data = await fetched(site, offer(site))
    root = etree.fromstring(data)
    assert root.tag == f"{QCVN}edXML"
    assert b"<!DOCTYPE" not in data
    assert root.find(f".//{QCVN}Signature") is None
    assert (root.findtext(f".//{QCVN}SteeringType") or "").isdecimal()
    assert all(one.text is None or one.text == one.text.strip() for one in root.iter() if len(one) == 0)
    (box,) = root.findall(f"{QCVN}AttachmentEncoded")
    entries = []
    for attachment, (name, content) in zip(box, FILES, strict=True):
        assert [child.tag.removeprefix(QCVN) for child in attachment] == [
            "ContentId", "AttachmentName", "Description", "ContentType", "ContentTransferEncoded",
        ]  # fmt: skip
        assert attachment.findtext(f"{QCVN}ContentType") == "application/zip"
        raw = base64.b64decode(attachment.findtext(f"{QCVN}ContentTransferEncoded") or "", validate=True)
        if name.endswith(".zip"):
            assert raw == content
            continue
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            (entry,) = archive.namelist()
            assert archive.read(entry) == content
        entries.append(entry)
    assert len(set(entries)) == len(entries)
    assert not any(bad in entry for entry in entries for bad in ("/", "\\", ".."))


async def test_a_status_is_fetched_the_same_way(site: Site) -> None:
    """A status has no attachments and no body, and says what its sender said."""
    data = await fetched(site, offer_status(site))
    read = read_classic([data], Sinks().open, source="fetched")
    assert read.message == STATUS
    assert b"AttachmentEncoded" not in data


async def test_to_names_whom_it_is_for(site: Site) -> None:
    """A message addressed by a rule names nobody: its classic form names the agency that it came for."""
    data = await fetched(site, offer(site, recipients=(organ("H31"),)))
    message = read_classic([data], Sinks().open, source="fetched").message
    assert isinstance(message, Document)
    assert [one.organ_id.value for one in message.recipients] == ["H31", "G22"]


async def test_done_hands_it_over(site: Site) -> None:
    """updateStatus done confirms: the message leaves the list; said again, it changes nothing and is no error."""
    key = offer(site)
    for _ in range(2):
        assert (await site.client().post("updateStatus", b"{}", docid=str(key), status="done")).ok
    assert site.node.settled == {key: Accepted()}
    assert await listed(site) == []
    assert len(await fetched(site, key)) > 0


async def test_fail_parks_it_with_its_reason(site: Site) -> None:
    """updateStatus fail is for people to look at: the message leaves the list; what the client says of it is kept."""
    key = offer(site)
    await site.client().post("updateStatus", b"{}", docId=str(key), status="fail", description="khong doc duoc")
    assert site.node.settled == {key: Never("demo.system.01 reports fail: khong doc duoc")}
    assert await listed(site) == []


async def test_processing_said_late_changes_nothing(site: Site) -> None:
    """Software that says processing behind done is not told of an error, and the message does not come back."""
    key = offer(site)
    for status in ("done", "processing", "done"):
        assert (await site.client().post("updateStatus", b"{}", docId=str(key), status=status)).ok
    assert (await site.client().post("getReceivedEdocList", messagetype="edoc")).ok["data"] == []


async def test_processing_leaves_it_there(open_site: Opener) -> None:
    """updateStatus processing keeps the message in the list, marked so, over a restart too."""
    async with open_site() as site:
        key = offer(site)
        assert (await site.client().post("updateStatus", b"{}", docId=str(key), status="processing")).ok
    async with open_site() as site:
        (row,) = await listed(site)
        assert (row["docId"], row["status"]) == (str(key), "processing")
        assert site.node.settled == {}


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"status": "done"}, "400"),
        ({"docId": "{key}"}, "400"),
        ({"docId": "{key}", "status": "xong"}, "400"),
        ({"docId": "{key}", "docid": "other", "status": "done"}, "400"),
        ({"docId": "00", "status": "done"}, "404"),
        ({"docId": "0" * 64 + "-G22", "status": "processing"}, "404"),
        ({"docId": "0" * 64 + "-G22", "status": "done"}, "404"),
        ({"docId": "../" * 30, "status": "done"}, "404"),
    ],
)
async def test_an_update_that_says_nothing_clear_changes_nothing(
    site: Site, parameters: dict[str, str], code: str
) -> None:
    """A missing, unknown or contradictory parameter is refused by name, and settles nothing."""
    key = offer(site)
    answer = await site.client().post(
        "updateStatus", b"{}", **{name: text.format(key=key) for name, text in parameters.items()}
    )
    assert answer.failure["ErrorCode"] == code
    assert site.node.settled == {}


async def test_an_error_of_a_download_has_no_body(site: Site) -> None:
    """Whatever body an error had would become the client's document."""
    for answer in (
        await site.client().download(docId="0" * 64 + "-G22"),
        await site.client().download(),
        await site.client(secret="wrong-secret").download(docId="x"),
    ):
        assert (answer.status, answer.body) == (204, b"")


async def test_an_attachment_that_is_gone_is_an_error_before_the_answer_begins(site: Site) -> None:
    """The file is whole on the disk before a byte of it is answered, so an error can still be told."""
    key = offer(site)
    site.node.blobs.clear()
    assert (await site.client().post("getEdoc", b"{}", docId=str(key))).failure["ErrorCode"] == "503"
    assert (await site.client().download(docId=str(key))).status == 204
    assert site.spooled == []


async def test_what_was_sent_is_listed_for_each_recipient(site: Site) -> None:
    """A row for each recipient with all fourteen members; receiverDocId is the docId that the receiver sees."""
    answer = await site.client().send(classic({}), **{"from": "G22"})
    doc_id = answer.ok["DocId"]
    rows = (await site.client().post("getSentEdocList", messagetype="edoc")).ok["data"]
    assert [row["toCode"] for row in rows] == ["H23", "000.00.00.H31"]
    assert rows[0] == {
        "serviceType": "eDoc",
        "messageType": "edoc",
        "senderDocId": doc_id,
        "receiverDocId": f"{doc_id}-H23",
        "fromCode": "G22",
        "toCode": "H23",
        "sendStatus": "handed-over",
        "sendStatusDesc": "",
        "receiveStatus": "03",
        "receiveStatusDesc": "Đã tiếp nhận",
        "sentTime": "2026/11/20 08:30:00",
        "receivedTime": "2026/11/20 08:30:00",
        "title": DOCUMENT.subject,
        "notation": "6111/VPCP-KSTT",
    }


async def test_a_doc_id_narrows_what_was_sent(site: Site) -> None:
    """docId picks one document; that of a received one, which an object repeats, narrows nothing."""
    first = (await site.client().send(classic({}), **{"from": "G22"})).ok["DocId"]
    await site.client().send(classic({}, document_id="G22,2026/11/02,2/A"), **{"from": "G22"})
    received = offer(site)

    async def names(doc_id: str) -> set[str]:
        rows = (await site.client().post("getSentEdocList", docId=doc_id)).ok["data"]
        return {row["senderDocId"] for row in rows}

    assert await names(first) == await names(f"{first}-H23") == {first}
    assert len(await names(str(received))) == 2
    assert await names("0" * 64) == await names("nonsense") == set()


async def test_what_the_classic_form_cannot_carry_is_for_a_person(site: Site) -> None:
    """A name that XML cannot hold would fail at each fetch: it is parked at once, with the reason, and never listed."""
    carried, not_carried = (
        NodeSimulator.delivery(site.node, dataclasses.replace(DOCUMENT, references=(reference(name, b"a"),)),
                               "G22", attachments=[(name, b"a")])
        for name in ("a.pdf", "a\0.pdf")
    )  # fmt: skip
    assert await site.adapter.deliver(carried) == Awaiting()
    outcome = await site.adapter.deliver(not_carried)
    assert isinstance(outcome, Never)
    assert "U+0000" in outcome.reason
