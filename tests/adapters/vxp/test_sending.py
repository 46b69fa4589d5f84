"""sendEdoc: what the SDK sends becomes a message of the node, once."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Unavailable
from schemas.message import Document, StatusMessage
from tests.adapters.classic import classic, classic_bytes
from tests.adapters.vxp.conftest import Opener, Site
from tests.schemas.samples import DOCUMENT, STATUS, organ

VECTORS = Path(__file__).parents[2] / "vectors" / "classic" / "bad"
FILE = classic({"6111.pdf": b"%PDF-1.4 " + bytes(30_000), "biểu.csv": b"a,b\r\n"})


async def sent(site: Site, file: bytes = FILE, **changes: Any) -> dict[str, Any]:
    return (await site.client().send(file, **{"from": "G22", **changes})).ok


def documents(site: Site) -> list[Document]:
    return [one.message for one in site.node.taken.values() if isinstance(one.message, Document)]


async def test_a_file_becomes_a_message_with_its_attachments(site: Site) -> None:
    """The document is what the file says, its attachments unwrapped byte for byte; DocId is the message's id."""
    answer = await sent(site)
    ((message_id, submission),) = site.node.taken.items()
    assert answer["DocId"] == message_id
    assert isinstance(submission.message, Document)
    assert submission.message.subject == DOCUMENT.subject
    assert {name: content for name, (_, content) in site.node.attachments_of(submission).items()} == {
        "6111.pdf": b"%PDF-1.4 " + bytes(30_000),
        "biểu.csv": b"a,b\r\n",
    }
    assert site.spooled == []


@pytest.mark.parametrize("end", [b"\r\n", b""])
@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n", b"\r\n\r\n"])
@pytest.mark.parametrize("padded", [True, False])
async def test_one_line_end_behind_the_file_is_not_the_files(
    site: Site,
    end: bytes,
    tail: bytes,
    padded: bool,
) -> None:
    """With the SDK's CR LF and without, behind any end of the file, in both forms of the hash: the file is taken."""
    file = FILE.rstrip() + tail
    digest = hashlib.sha256(file).digest()
    text = digest.hex() if padded else "".join(f"{byte:x}" for byte in digest)
    answer = await sent(site, file, hash_file=text, end=end)
    (submission,) = site.node.taken.values()
    assert submission.fingerprint == digest.hex()
    assert answer["DocId"]


async def test_a_hash_has_no_leading_zeros(site: Site) -> None:
    """The form of the hash that the SDK writes differs from hex, and this test's file is one where it does."""
    files = (FILE + b" " * blanks for blanks in range(100))
    file = next(one for one in files if min(hashlib.sha256(one).digest()) < 16)
    assert len("".join(f"{byte:x}" for byte in hashlib.sha256(file).digest())) < 64
    await sent(site, file)


@pytest.mark.parametrize("wrong", ["0" * 64, "", "x"])
async def test_another_hash_is_refused(site: Site, wrong: str) -> None:
    """A file that is not what hash-file says, or says nothing of, reaches no node: the MAC covers no body."""
    answer = await site.client().send(FILE, hash_file=wrong, **{"from": "G22"})
    assert answer.failure["ErrorCode"] == "400"
    assert site.node.calls == []


async def test_the_same_file_is_one_message(site: Site) -> None:
    """The JDK's hidden repeat, at once or later, and a captured request sent again, have the first one's answer."""
    first, second = await asyncio.gather(sent(site), sent(site))
    third = await sent(site, messagetype="edoc", docId="a stale one")
    assert first["DocId"] == second["DocId"] == third["DocId"]
    assert site.node.message_count() == 1


async def test_a_file_that_the_hub_has_refused_is_not_said_to_be_sent(site: Site) -> None:
    """Sent again after the hub's refusal, the same file is answered with that refusal, and no DocId: nobody gets it."""
    await sent(site)
    site.node.refused = "H23 is retired."
    answer = await site.client().send(FILE, **{"from": "G22"})
    assert answer.failure["DocId"] == ""
    assert "H23 is retired." in answer.failure["ErrorDesc"]
    assert site.node.message_count() == 1


async def test_another_file_is_another_message(site: Site) -> None:
    """One byte of difference makes a second message."""
    first = await sent(site)
    second = await sent(site, classic({"6111.pdf": b"%PDF-1.4 khac"}, document_id="G22,2026/11/02,6112/VPCP-KSTT"))
    assert first["DocId"] != second["DocId"]
    assert site.node.message_count() == 2


@pytest.mark.parametrize("messagetype", ["status", "edoc"])
async def test_a_status_goes_the_same_way(site: Site, messagetype: str) -> None:
    """A file with a StatusCode is a status, whatever stale messagetype the service object repeats."""
    status = classic_bytes(dataclasses.replace(STATUS, sender=organ("G22")), {})
    await sent(site, status, messagetype=messagetype)
    (submission,) = site.node.taken.values()
    assert isinstance(submission.message, StatusMessage)
    assert submission.message.status_code == STATUS.status_code


@pytest.mark.parametrize(
    ("system", "named", "written", "code"),
    [
        ("demo.system.01", "H23", "G22", "403"),
        ("demo.system.01", "G22", "H23", "403"),
        ("unit.system.02", "G22", "G22.01", "403"),
        ("unit.system.02", "G22.01", "G22", "403"),
        ("demo.system.01", "no code", "G22", "400"),
        ("demo.system.01", "", "G22", "400"),
    ],
)
async def test_nobody_sends_for_another(site: Site, system: str, named: str, written: str, code: str) -> None:
    """An agency of another node, or one that another system acts for, in `from` or in the file: the API's own error."""
    file = classic({}, sender=organ(written))
    answer = await site.client(system).send(file, **{"from": named})
    assert answer.failure["ErrorCode"] == code
    assert site.node.calls == []


@pytest.mark.parametrize(
    ("system", "named", "written"),
    [
        ("demo.system.01", "G22", "G22.01"),
        ("demo.system.01", "demo.system.01", "G22"),
        ("unit.system.02", "G22.01", "G22.01"),
    ],
)
async def test_a_system_sends_for_its_agencies(site: Site, system: str, named: str, written: str) -> None:
    """A system acts for its agencies and all below; some software writes its own systemId as `from`."""
    await_answer = await site.client(system).send(classic({}, sender=organ(written)), **{"from": named})
    assert await_answer.ok["DocId"]


async def test_a_parameter_that_is_missing_is_named(site: Site) -> None:
    """Without `from` the answer says so."""
    assert "from" in (await site.client().send(FILE)).failure["ErrorDesc"]


@pytest.mark.parametrize(
    "bad", ["doctype", "truncated", "base64_character", "zip_entry_up", "zip_entry_folder", "empty"]
)
async def test_a_file_that_is_none_is_refused_with_its_reason(site: Site, bad: str) -> None:
    """What the reader refuses is told with rule and line, in ASCII, and leaves nothing behind."""
    file = (VECTORS / f"{bad}.edxml").read_bytes()
    answer = await site.client().send(file, **{"from": "G22"})
    assert "rule: " in answer.failure["ErrorDesc"]
    assert site.node.calls == []
    assert site.spooled == []


async def test_what_the_node_refuses_is_told(site: Site) -> None:
    """An unknown recipient is an error of the API, with the node's own words."""
    answer = await site.client().send(classic({}, recipients=(organ("K99"),)), **{"from": "G22"})
    assert "K99" in answer.failure["ErrorDesc"]


async def test_a_node_that_cannot_now_says_so(site: Site) -> None:
    """A full disk is told as an error for which trying again helps; then the same file is taken."""
    site.node.trouble = lambda _: Unavailable("storage-full", "The disk is full.")
    assert (await site.client().send(FILE, **{"from": "G22"})).failure["ErrorCode"] == "503"
    site.node.trouble = lambda _: None
    await sent(site)


async def test_a_file_that_is_too_large_is_read_to_its_end_and_refused(open_site: Opener) -> None:
    """The SDK reads no answer before it has written all: whoever closes early is taken for a broken connection."""
    async with open_site(message_bytes=100_000) as site:
        answer = await site.client().send(bytes(3_000_000), **{"from": "G22"})
        assert answer.failure["ErrorCode"] == "413"
        assert site.spooled == []


async def test_what_breaks_off_leaves_nothing(site: Site) -> None:
    """A connection that dies in the middle of a file leaves no message and no copy."""
    client = site.client()
    client.parameters |= {"from": "G22", "hash-file": "0" * 64}
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.endpoint.rpartition(":")[2]))
    lines = [*client.signed_headers(), ("Host", b"x"), ("Content-Length", b"1000000")]
    writer.write(b"POST /sendEdoc HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % (n.encode(), v) for n, v in lines) + b"\r\n")
    writer.write(bytes(400_000))
    await writer.drain()
    await site.spool_is(empty=False)
    writer.transport.abort()
    await site.spool_is(empty=True)
    del reader
    assert site.node.calls == []
