"""`congvan node audit`: whatever is deleted or changed by hand is named, at the sender's and at the recipient's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from node.cli.audit import audit_of
from node.foundation import open_foundation
from node.settings import NodeFolder
from node.usecases.audit import NodeAudit
from schemas.auditing import FindingCode
from tests.together.by_hand import by_hand, flipped
from tests.together.conftest import Exchanged
from tests.together.ground import NODES


def _database(folder: Path, node: str) -> Path:
    return folder / node / "data" / "node.db"


async def _audit(folder: Path, node: str, *, deep: bool = False) -> NodeAudit:
    async with open_foundation(NodeFolder(folder / node)) as foundation:
        await foundation.directory.load()
        return await audit_of(foundation, deep=deep)


@pytest.mark.parametrize("node", NODES)
async def test_what_is_whole_is_clean(folder: Path, node: str) -> None:
    """After an exchange everything that a node sent and received is proven, and its balance holds."""
    found = await _audit(folder, node, deep=True)
    assert [finding.sentence for finding in found.findings] == []
    assert found.examined.messages > 3
    overall = found.balance[-1]
    assert overall.accepted == overall.delivered + overall.expired + overall.pending
    assert (overall.expired, overall.pending) == ((1, 1) if node == "g22" else (0, 0))


_FLIPPED = flipped("body")
_OF_CIRCULAR = "WHERE message_id = '{circular}'"

AT_THE_SENDER: Sequence[tuple[str, str, FindingCode]] = [
    ("a message row", f"DELETE FROM messages {_OF_CIRCULAR}", FindingCode.MESSAGE_MISSING),
    ("the outbox row", f"DELETE FROM outbox {_OF_CIRCULAR}", FindingCode.OUTBOX_MISSING),
    ("its recipients", f"DELETE FROM outbox_recipients {_OF_CIRCULAR}", FindingCode.DELIVERY_MISSING),
    ("an envelope", f"DELETE FROM envelopes {_OF_CIRCULAR}", FindingCode.ENVELOPE_MISSING),
    (
        "a changed envelope",
        f"UPDATE envelopes SET sealed = {flipped('sealed')} {_OF_CIRCULAR}",
        FindingCode.ENVELOPE_INVALID,
    ),
    ("a short attachment", "DELETE FROM small_blobs", FindingCode.ATTACHMENT_MISSING),
    ("the naming of attachments", f"DELETE FROM attachments {_OF_CIRCULAR}", FindingCode.ATTACHMENT_MISSING),
    (
        "the acceptance",
        f"DELETE FROM receipts {_OF_CIRCULAR} AND event = 'SubmissionAcceptance'",
        FindingCode.RECEIPT_MISSING,
    ),
    (
        "the receipts of a recipient",
        f"DELETE FROM receipts {_OF_CIRCULAR} AND recipient = 'H31'",
        FindingCode.RECEIPT_MISSING,
    ),
    (
        "a changed receipt",
        f"UPDATE receipts SET body = {flipped('body')} {_OF_CIRCULAR} AND event = 'ContentHandover'",
        FindingCode.RECEIPT_INVALID,
    ),
    (
        "proofs",
        f"DELETE FROM proofs WHERE digest IN (SELECT proof FROM receipts {_OF_CIRCULAR})",
        FindingCode.PROOF_MISSING,
    ),
    (
        "changed proofs",
        f"UPDATE proofs SET body = {flipped('body')} WHERE digest IN (SELECT proof FROM receipts {_OF_CIRCULAR})",
        FindingCode.RECEIPT_INVALID,
    ),
    (
        "a state set by hand",
        f"UPDATE outbox_recipients SET delivery = 'accepted' {_OF_CIRCULAR}",
        FindingCode.STATE_DIFFERS,
    ),
    (
        "one of its recipients",
        f"DELETE FROM outbox_recipients {_OF_CIRCULAR} AND code = 'H31'",
        FindingCode.DELIVERY_MISSING,
    ),
    (
        "a refusal set by hand",
        "UPDATE outbox SET state = 'refused' WHERE message_id = '{waiting}'",
        FindingCode.STATE_DIFFERS,
    ),
    (
        "a payload dropped too soon",
        "UPDATE messages SET purged_at = 1 WHERE message_id = '{waiting}'",
        FindingCode.PURGED_EARLY,
    ),
]

AT_A_RECIPIENT: Sequence[tuple[str, str, FindingCode]] = [
    ("a message row", f"DELETE FROM messages {_OF_CIRCULAR}", FindingCode.MESSAGE_MISSING),
    ("the inbox row", f"DELETE FROM inbox {_OF_CIRCULAR}", FindingCode.INBOX_MISSING),
    ("a hand-over", f"DELETE FROM handovers {_OF_CIRCULAR} AND code = 'H23.12'", FindingCode.HANDOVER_MISSING),
    ("an envelope", f"DELETE FROM envelopes {_OF_CIRCULAR}", FindingCode.ENVELOPE_MISSING),
    (
        "the consignment receipt",
        f"DELETE FROM receipts {_OF_CIRCULAR} AND event = 'ContentConsignment'",
        FindingCode.RECEIPT_MISSING,
    ),
    (
        "the hand-over receipt",
        f"DELETE FROM receipts {_OF_CIRCULAR} AND event = 'ContentHandover'",
        FindingCode.RECEIPT_MISSING,
    ),
    (
        "the acceptance",
        f"DELETE FROM receipts {_OF_CIRCULAR} AND event = 'SubmissionAcceptance'",
        FindingCode.RECEIPT_MISSING,
    ),
    (
        "a hand-over made ready again",
        f"UPDATE handovers SET state = 'ready' {_OF_CIRCULAR}",
        FindingCode.STATE_DIFFERS,
    ),
]


@pytest.mark.parametrize(
    ("node", "statement", "code"),
    [
        *(pytest.param("g22", *each[1:], id=f"sender: {each[0]}") for each in AT_THE_SENDER),
        *(pytest.param("h23", *each[1:], id=f"recipient: {each[0]}") for each in AT_A_RECIPIENT),
    ],
)
async def test_what_is_deleted_or_changed_by_hand_is_named(
    folder: Path, exchanged: Exchanged, node: str, statement: str, code: FindingCode
) -> None:
    """Each table's loss is found, with the message that it concerns."""
    by_hand(_database(folder, node), statement.format(**exchanged.sent))
    found = await _audit(folder, node)
    named = [finding for finding in found.findings if finding.code is code]
    concerned = exchanged.id_of("waiting" if "{waiting}" in statement else "circular")
    assert concerned in {finding.message_id for finding in named}
    assert all(finding.sentence and finding.mend for finding in named)


async def test_a_message_of_which_nothing_is_left_is_found_by_its_number(folder: Path, exchanged: Exchanged) -> None:
    """Who deletes a message with all that belongs to it leaves a gap in the numbers."""
    tables = ("outbox_recipients", "outbox", "attachments", "envelopes", "receipts", "messages")
    by_hand(
        _database(folder, "g22"),
        *(f"DELETE FROM {table} WHERE message_id = '{exchanged.id_of('circular')}'" for table in tables),
    )
    gaps = [each for each in (await _audit(folder, "g22")).findings if each.code is FindingCode.NUMBER_GAP]
    assert {finding.element for finding in gaps} == {"messages", "receipts"}


async def test_a_file_that_is_gone_or_changed_is_named(folder: Path, exchanged: Exchanged) -> None:
    """An attachment's file is looked for, and with `deep` every byte of it is read."""
    (path,) = (folder / "h23" / "data" / "blobs" / "blobs").glob("??/??/*")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert (await _audit(folder, "h23")).is_clean
    changed = await _audit(folder, "h23", deep=True)
    assert [finding.code for finding in changed.findings] == [FindingCode.ATTACHMENT_CHANGED]
    path.unlink()
    gone = await _audit(folder, "h23")
    assert [(finding.code, finding.message_id) for finding in gone.findings] == [
        (FindingCode.ATTACHMENT_MISSING, exchanged.id_of("circular"))
    ]


async def test_a_receipt_that_the_hub_is_still_to_be_told_is_missed(folder: Path) -> None:
    """What a report was to bring the hub, and is gone, is named."""
    by_hand(
        _database(folder, "h23"),
        "INSERT INTO reports (report, outcome) VALUES (9001, NULL)",
        "INSERT INTO report_receipts (report, receipt) VALUES (9001, 9001)",
    )
    found = await _audit(folder, "h23")
    assert [finding.code for finding in found.findings] == [FindingCode.REPORT_BROKEN]
    assert found.reports == 1
