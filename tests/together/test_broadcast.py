"""A document to every agency below a code, or to a group: one envelope that signs the rule, and who it was for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import typer
from structlog.testing import capture_logs
from typer.testing import CliRunner

from congvan.cli import app
from hub.usecases.agencies import NewAgency
from node.cli import app as node_app
from node.cli.agencies import offered_recipients
from node.store.records import OutboxRow
from node.store.states import DeliveryState, Standing
from node.usecases.selection import recipients_digest
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected
from schemas.message import StatusCode
from schemas.receipt_codec import read_receipt
from schemas.receipts import ReceiptEvent
from schemas.recipients import parse_recipient, parse_selector
from tests.together.documents import document, recall, status
from tests.together.ground import Ground
from tests.together.node_side import RunningNode
from tests.together.site import Site, opened

BELOW = parse_selector("H23.*")
GROUP = parse_selector("@lien-nganh")


@pytest.fixture
async def site(ground: Ground, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(ground.copy(tmp_path / "site"), ground.made_at) as site:
        yield site


async def _row(node: RunningNode, message_id: str) -> OutboxRow:
    story = await node.foundation.queries.story(message_id)
    assert story.outbox is not None
    return story.outbox


def _stands(row: OutboxRow) -> dict[str, DeliveryState]:
    return {one.code.value: one.delivery for one in row.recipients}


async def _group(site: Site, *members: str) -> None:
    written = [parse_recipient(member) for member in members]
    await site.hub.foundation.groups.add("lien-nganh", "Liên ngành", written, actor="test")


async def test_a_document_reaches_every_agency_below_a_code_in_one_envelope(site: Site) -> None:
    """The envelope names the rule alone; each agency below it gets the document, and its receipts come back."""
    g22 = site.node("g22")
    sent = await g22.submit(document("G22", number=1), key="1", selectors=(BELOW,))
    await site.run_dry()
    assert _stands(await _row(g22, sent)) == {
        "H23": DeliveryState.HANDED_OVER,
        "H23.12": DeliveryState.HANDED_OVER,
    }
    assert sorted(site.software["h23"].offered) == [(sent, "H23"), (sent, "H23.12")]
    assert site.software["h31"].offered == []


async def test_a_group_of_the_signed_directory_is_written_to(site: Site) -> None:
    """The operator makes a group of codes and prefixes; nodes know it from the directory, and all members get it."""
    await _group(site, "H31", "H23.*")
    g22 = site.node("g22")
    await g22.foundation.directory.sync(g22.hub)
    sent = await g22.submit(document("G22", "H31", number=1), key="1", selectors=(GROUP,))
    await site.run_dry()
    assert _stands(await _row(g22, sent)) == dict.fromkeys(("H31", "H23", "H23.12"), DeliveryState.HANDED_OVER)


async def test_the_acceptance_proves_whom_the_rule_stood_for(site: Site) -> None:
    """An agency that was admitted after the sender's copy of the directory gets the document too; the sender learns of
    it from the version that the acceptance names, and its list has the digest that the hub signed."""
    g22, office = site.node("g22"), site.hub.foundation
    sent = await g22.submit(document("G22", number=1), key="1", selectors=(BELOW,))
    assert set(_stands(await _row(g22, sent))) == {"H23", "H23.12"}
    await office.agencies.add(NewAgency(AgencyCode("H23.13"), "Sở Y tế", (), "h31"), actor="test")
    await office.agencies.set_status(AgencyCode("H23.12"), EntryStatus.SUSPENDED, actor="test")
    with capture_logs() as logs:
        await site.run_dry()
    assert [entry for entry in logs if entry["event"] == "acceptance.recipients-differ"] == []
    story = await g22.foundation.queries.story(sent)
    assert story.outbox is not None
    assert _stands(story.outbox) == dict.fromkeys(("H23", "H23.13"), DeliveryState.HANDED_OVER)
    (accepted,) = [
        read_receipt(one.signed.receipt) for one in story.receipts if one.event is ReceiptEvent.SUBMISSION_ACCEPTANCE
    ]
    assert accepted.recipients_digest == recipients_digest(one.code for one in story.outbox.recipients)
    assert accepted.recipients_count == 2


async def test_a_receipt_that_overtakes_the_acceptance_waits_for_it(site: Site) -> None:
    """The hub has accepted, its answer was lost, and a recipient that the sender does not know of is quicker."""
    g22, h31 = site.node("g22"), site.node("h31")
    sent = await g22.submit(document("G22", number=1), key="1", selectors=(BELOW,))
    await site.hub.foundation.agencies.add(NewAgency(AgencyCode("H23.13"), "Sở Y tế", (), "h31"), actor="test")
    sealed = await g22.foundation.queries.sealed(sent)
    await g22.hub.submit(sealed, {})
    await site.hub.sweep()
    await h31.fetch()
    await h31.report()
    await g22.fetch()
    await g22.report()
    assert "H23.13" not in _stands(await _row(g22, sent))
    await site.run_dry()
    assert _stands(await _row(g22, sent))["H23.13"] is DeliveryState.HANDED_OVER


async def test_a_recall_of_a_circular_goes_to_those_that_have_it(site: Site) -> None:
    """The recall names whom the rule had found; statuses of recipients that no To named are taken."""
    g22, h23 = site.node("g22"), site.node("h23")
    circular = document("G22", number=1)
    sent = await g22.submit(circular, key="1", selectors=(BELOW,))
    await site.run_dry()
    await h23.submit(status("H23.12", circular), key="status", about=(sent,))
    await site.run_dry()
    stands = {one.code.value: one.status for one in (await _row(g22, sent)).recipients}
    assert stands["H23.12"] == "03"
    taken_back = recall(document("G22", "H23", "H23.12", number=1), 2)
    await g22.submit(taken_back, key="2", about=(sent,))
    await site.run_dry()
    assert len(site.software["h23"].offered) == 4
    with pytest.raises(Rejected) as raised:
        await g22.submit(recall(circular, 3), key="3", about=(sent,), selectors=(BELOW,))
    assert raised.value.code == "selectors-not-allowed"


async def test_a_circular_is_told_in_counts_and_a_few_of_its_many(site: Site) -> None:
    """Of recipients and receipts as many as asked for, and how many there are of each; a recall agreed to counts."""
    g22, h23 = site.node("g22"), site.node("h23")
    circular = document("G22", number=1)
    sent = await g22.submit(circular, key="1", selectors=(BELOW,))
    await site.run_dry()
    taken_back = recall(document("G22", "H23.12", number=1), 2)
    asked = await g22.submit(taken_back, key="2", about=(sent,))
    await site.run_dry()
    agreed = status("H23.12", taken_back, StatusCode.REQUEST_AGREED)
    await h23.submit(agreed, key="agreed", about=(asked,))
    await site.run_dry()
    whole = await g22.foundation.queries.story(sent)
    story = await g22.foundation.queries.story(sent, most=1)
    assert story.outbox is not None
    assert [one.code.value for one in story.outbox.recipients] == ["H23"]
    assert story.outbox.stands == {Standing.ARRIVED: 1, Standing.RECALLED: 1}
    assert (len(story.receipts), story.receipts_count) == (1, len(whole.receipts))
    assert len(whole.receipts) == 5
    (row,) = [each for each in await g22.foundation.queries.outbox(most=1) if each.message.message_id == sent]
    assert (len(row.recipients), row.stands) == (1, story.outbox.stands)


@pytest.mark.parametrize(
    ("text", "code"), [("@nobody", "group-unknown"), ("H99.*", "no-recipient"), ("G22.*", "no-recipient")]
)
async def test_a_rule_that_finds_nobody_is_refused_at_once(site: Site, text: str, code: str) -> None:
    """Before anything is sealed the node says that the rule finds nobody: no group, no agency, or the sender alone."""
    with pytest.raises(Rejected) as raised:
        await site.node("g22").submit(document("G22", number=1), key="1", selectors=(parse_selector(text),))
    assert raised.value.code == code


def _run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["node", *arguments, "--dir", str(folder / "g22")])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_agencies_are_found_by_code_by_name_and_by_rule(folder: Path) -> None:
    """The beginning of a code, words without marks, an older code's beginning, a prefix: each names whom it means."""

    def found(text: str) -> list[str]:
        return [entry["code"] for entry in json.loads(_run(folder, "agencies", text, "--json"))]

    assert found("h23") == ["H23", "H23.12"]
    assert found("H23.*") == ["H23", "H23.12"]
    assert found("H23.1") == ["H23.12"]
    assert found("nobody") == []
    assert "more: --limit" in _run(folder, "agencies", "H", "--limit", "2")


def test_a_shell_completes_recipients(folder: Path) -> None:
    """After --to come the codes that begin so, after a comma as well; without a node nothing, and no error."""

    def offered(folder: Path, incomplete: str) -> list[str]:
        context = typer.Context(typer.main.get_command(node_app))
        context.params["folder"] = folder
        return [code for code, _ in offered_recipients(context, incomplete)]

    assert offered(folder / "g22", "H2") == ["H23", "H23.12"]
    assert offered(folder / "g22", "H31,h23.") == ["H31,H23.12"]
    assert offered(folder / "g22", "@") == []
    assert offered(folder / "nowhere", "H2") == []
