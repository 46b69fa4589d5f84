"""`congvan hub audit`: whatever is deleted or changed by hand is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hub.cli.audit import audit_of
from hub.foundation import open_foundation
from hub.settings import HubFolder
from hub.usecases.audit import HubAudit
from runtime.blob_folder import BlobFolder
from schemas.auditing import FindingCode
from tests.together.by_hand import asked, by_hand, flipped
from tests.together.conftest import Exchanged


def _database(folder: Path) -> Path:
    return folder / "hub" / "data" / "hub.db"


def _number(exchanged: Exchanged, key: str) -> str:
    return f"(SELECT message FROM messages WHERE message_id = '{exchanged.id_of(key)}')"


async def _audit(folder: Path, *, deep: bool = False) -> HubAudit:
    async with open_foundation(HubFolder(folder / "hub")) as foundation:
        return await audit_of(foundation, deep=deep)


async def test_what_is_whole_is_clean_and_balances(folder: Path) -> None:
    """After an exchange everything is proven: delivered, refused, expired and pending, as the rows say."""
    found = await _audit(folder, deep=True)
    assert [finding.sentence for finding in found.findings] == []
    assert found.is_clean
    overall = found.balance.overall
    assert overall.accepted == overall.delivered + overall.expired + overall.pending
    assert (overall.expired, overall.pending) == (1, 1)
    # The nine that were sent, and status 01 of what G22 received.
    assert found.balance.sent["G22"].accepted == 10
    assert found.examined.attachments == 5


DELETED: Sequence[tuple[str, str, FindingCode]] = [
    ("a message row", "DELETE FROM messages WHERE message = {circular}", FindingCode.MESSAGE_MISSING),
    ("an envelope", "DELETE FROM envelopes WHERE message = {circular}", FindingCode.ENVELOPE_MISSING),
    (
        "a changed envelope",
        "UPDATE envelopes SET body = {flip} WHERE message = {circular}",
        FindingCode.ENVELOPE_INVALID,
    ),
    (
        "a short attachment",
        "DELETE FROM blobs WHERE content IS NOT NULL",
        FindingCode.ATTACHMENT_MISSING,
    ),
    (
        "an acceptance",
        "DELETE FROM receipts WHERE message = {circular} AND event = 'SubmissionAcceptance'",
        FindingCode.RECEIPT_MISSING,
    ),
    (
        "a consignment receipt",
        "DELETE FROM receipts WHERE message = {circular} AND event = 'ContentConsignment' AND recipient = 'H31'",
        FindingCode.RECEIPT_MISSING,
    ),
    (
        "a changed receipt",
        "UPDATE receipts SET body = {flip} WHERE message = {circular} AND event = 'ContentHandover'",
        FindingCode.RECEIPT_INVALID,
    ),
    (
        "a proof",
        "DELETE FROM proofs WHERE digest IN (SELECT proof FROM receipts WHERE message = {circular})",
        FindingCode.PROOF_MISSING,
    ),
    (
        "a changed proof",
        "UPDATE proofs SET body = {flip} WHERE digest IN (SELECT proof FROM receipts WHERE message = {circular})",
        FindingCode.RECEIPT_INVALID,
    ),
    (
        "a delivery",
        "DELETE FROM deliveries WHERE message = {circular} AND recipient = 'H23.12'",
        FindingCode.DELIVERY_MISSING,
    ),
    (
        "the mailbox entry of what waits",
        "DELETE FROM mailbox_entries WHERE message = {waiting} AND receipt IS NULL",
        FindingCode.ENTRY_MISSING,
    ),
    (
        "the closing of an entry of what waits",
        "UPDATE mailbox_entries SET open = 0 WHERE message = {waiting} AND receipt IS NULL",
        FindingCode.DELIVERY_STUCK,
    ),
    (
        "the mailbox entry of what is delivered",
        "DELETE FROM mailbox_entries WHERE message = {circular} AND receipt IS NULL",
        FindingCode.ENTRY_MISSING,
    ),
    (
        "the mailbox entry of a receipt",
        "DELETE FROM mailbox_entries WHERE message = {circular} AND receipt IS NOT NULL",
        FindingCode.RECEIPT_NOT_FORWARDED,
    ),
    (
        "the naming of an attachment",
        "DELETE FROM message_blobs WHERE message = {waiting}",
        FindingCode.ATTACHMENT_MISSING,
    ),
    (
        "a state set by hand",
        "UPDATE deliveries SET state = 'queued' WHERE message = {circular} AND recipient = 'H31'",
        FindingCode.STATE_DIFFERS,
    ),
    (
        "another sender",
        "UPDATE messages SET sender = 'H31' WHERE message = {circular}",
        FindingCode.ENVELOPE_FOREIGN,
    ),
    (
        "a payload dropped too soon",
        "UPDATE messages SET purged_at = accepted_at WHERE message = {waiting}",
        FindingCode.PURGED_EARLY,
    ),
]


@pytest.mark.parametrize(("statement", "code"), [each[1:] for each in DELETED], ids=[each[0] for each in DELETED])
async def test_what_is_deleted_or_changed_by_hand_is_named(
    folder: Path, exchanged: Exchanged, statement: str, code: FindingCode
) -> None:
    """Each table's loss is found, with the message that it concerns, and the audit is not clean."""
    key = "waiting" if "{waiting}" in statement else "circular"
    column = "body"
    by_hand(
        _database(folder),
        statement.format(
            circular=_number(exchanged, "circular"), waiting=_number(exchanged, "waiting"), flip=flipped(column)
        ),
    )
    found = await _audit(folder)
    assert not found.is_clean
    named = [finding for finding in found.findings if finding.code is code]
    assert exchanged.id_of(key) in {finding.message_id for finding in named}
    assert all(finding.sentence and finding.mend for finding in named)


async def test_a_handover_told_before_its_consignment_is_on_its_way(folder: Path, exchanged: Exchanged) -> None:
    """While the entry is open the consignment's receipt is still to come: delivered, and nothing is missing."""
    number = _number(exchanged, "circular")
    consignment = f"message = {number} AND recipient = 'H31' AND event = 'ContentConsignment'"
    by_hand(
        _database(folder),
        f"DELETE FROM mailbox_entries WHERE receipt = (SELECT receipt FROM receipts WHERE {consignment})",
        f"DELETE FROM receipts WHERE {consignment}",
    )
    found = await _audit(folder)
    assert FindingCode.RECEIPT_MISSING in _codes(found)
    by_hand(
        _database(folder),
        f"UPDATE mailbox_entries SET open = 1, codes = 'H31' WHERE message = {number} AND receipt IS NULL"
        f" AND connection = (SELECT connection FROM deliveries WHERE message = {number} AND recipient = 'H31')",
    )
    again = await _audit(folder)
    assert _codes(again) <= _codes(found) - {FindingCode.RECEIPT_MISSING}
    assert FindingCode.STATE_DIFFERS not in _codes(again)
    assert again.balance.balances


async def test_a_message_of_which_nothing_is_left_is_found_by_its_number(folder: Path, exchanged: Exchanged) -> None:
    """Who deletes a message with all that belongs to it leaves a gap in the numbers."""
    number = asked(_database(folder), f"SELECT {_number(exchanged, 'circular')}")
    tables = ("mailbox_entries", "deliveries", "message_blobs", "envelopes", "receipts", "messages")
    by_hand(_database(folder), *(f"DELETE FROM {table} WHERE message = {number}" for table in tables))
    found = await _audit(folder)
    gaps = [finding for finding in found.findings if finding.code is FindingCode.NUMBER_GAP]
    assert any(f"messages was deleted: number {number} " in finding.sentence for finding in gaps)


async def test_a_file_that_is_gone_short_or_changed_is_named(folder: Path, exchanged: Exchanged) -> None:
    """An attachment's file is looked for, its length compared, and with `deep` every byte of it."""
    digest = str(asked(_database(folder), "SELECT digest FROM blobs WHERE content IS NULL"))
    path = BlobFolder(folder / "hub" / "data").path(digest)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    assert (await _audit(folder)).is_clean
    assert _codes(await _audit(folder, deep=True)) == {FindingCode.ATTACHMENT_CHANGED}
    path.write_bytes(whole[:-1])
    assert _codes(await _audit(folder)) == {FindingCode.ATTACHMENT_SIZE}
    path.unlink()
    found = await _audit(folder)
    assert _codes(found) == {FindingCode.ATTACHMENT_MISSING}
    assert {finding.message_id for finding in found.findings} == {
        exchanged.id_of("circular"),
        exchanged.id_of("waiting"),
    }


async def test_a_changed_short_attachment_is_named_when_bytes_are_read(folder: Path) -> None:
    """`deep` reads the attachments that lie in the database as well."""
    by_hand(_database(folder), f"UPDATE blobs SET content = {flipped('content')} WHERE content IS NOT NULL")
    assert _codes(await _audit(folder, deep=True)) == {FindingCode.ATTACHMENT_CHANGED}


async def test_a_directory_version_that_was_changed_proves_nothing(folder: Path) -> None:
    """What a changed version of the directory said is not believed: seals that rest on it are named with it."""
    by_hand(_database(folder), f"UPDATE directory_versions SET document = {flipped('document')}")
    found = await _audit(folder)
    assert {FindingCode.DIRECTORY_INVALID, FindingCode.ENVELOPE_INVALID} <= _codes(found)


def _codes(found: HubAudit) -> set[FindingCode]:
    return {finding.code for finding in found.findings}
