"""A hub, and a node, put back to a backup while the exchange went on: real programs, real databases, nothing lost."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.sdk import Submission
from congvan.cli import app
from hub.app import restored
from hub.cli import app as hub_commands
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from hub.usecases.balance import balance_of
from node.cli import app as node_commands
from node.foundation import open_foundation as open_node
from node.settings import NodeFolder
from node.store import attachment_recoveries
from node.store.states import DeliveryState, HandoverState, MessageKind, OutboxState
from schemas.codes import AgencyCode
from schemas.errors import Unavailable
from tests.node.core.world import document
from tests.programs import exchange

#: A node that finds its hub away tries again soon.
SOON = {"CONGVAN_NODE__EXCHANGE__RECEIVER__WAIT": "2"}


def backed_up(program: str, folder: Path, target: Path) -> None:
    """Take a backup by the command, private keys and all, and check it."""
    commands = hub_commands if program == "hub" else node_commands
    for command in (["backup", str(target), "--keys", "--dir", str(folder)], ["backup-check", str(target)]):
        result = CliRunner().invoke(commands, [*command, "--json"])
        assert result.exit_code == 0, result.output


def put_back(backup: Path, database: Path) -> None:
    for rest in ("-wal", "-shm"):
        database.with_name(database.name + rest).unlink(missing_ok=True)
    database.write_bytes(backup.read_bytes())


async def audited_at_rest(site: exchange.Site) -> None:
    """Hub and nodes, stopped, account for everything, each by itself and against each other."""
    await site.stop()
    await asyncio.to_thread(audited, site)


def audited(site: exchange.Site) -> None:
    folders = [site.hub_folder, *(site.node_folder(code) for code in site.nodes)]
    result = CliRunner().invoke(app, ["audit", *map(str, folders), "--json"])
    assert result.exit_code == 0, result.stdout


async def sent(site: exchange.Site, code: str) -> dict[str, str]:
    """The documents in a node's outbox that the hub has accepted: subject and message id."""
    async with open_node(NodeFolder(site.node_folder(code))) as node:
        rows = await node.queries.outbox(limit=1000)
        return {
            row.message.subject or "": row.message.message_id
            for row in rows
            if row.message.kind is MessageKind.DOCUMENT and row.state is OutboxState.ACCEPTED
        }


async def messages_at_hub(site: exchange.Site) -> dict[str, list[str]]:
    """What the hub holds, by kind: message ids."""
    async with open_hub(HubFolder(site.hub_folder)) as hub:
        rows = await hub.database.read(
            lambda transaction: transaction.exec_driver_sql("SELECT kind, message_id FROM messages").all()
        )
    found: dict[str, list[str]] = {}
    for kind, message_id in rows:
        found.setdefault(kind, []).append(message_id)
    return found


async def has_run_dry(site: exchange.Site) -> bool:
    """Whether nothing is on its way at the hub, statuses neither."""
    async with open_hub(HubFolder(site.hub_folder)) as hub:
        return (await balance_of(hub.database)).overall.pending == 0


async def receipts_at_hub(site: exchange.Site, event: str) -> int:
    async with open_hub(HubFolder(site.hub_folder)) as hub:
        return await hub.database.read(
            lambda transaction: transaction.exec_driver_sql(
                "SELECT count(*) FROM receipts r JOIN messages m ON m.message = r.message "
                "WHERE m.kind = 'document' AND r.event = ?",
                (event,),
            ).scalar_one()
        )


async def attachments_fetched(site: exchange.Site, code: str) -> None:
    async def fetched() -> bool:
        async with open_node(NodeFolder(site.node_folder(code))) as node:
            return not await node.database.read(attachment_recoveries.waiting)

    await exchange.until(fetched, "the attachments of what it had sent to be fetched")


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_a_hub_put_back_to_a_backup_is_brought_all_that_it_had_accepted(tmp_path: Path) -> None:
    """A backup taken under traffic, put into an empty folder: what was accepted after it is there once more, once."""
    site = exchange.site(tmp_path)
    site.environment |= SOON
    await site.set_up()
    backup = tmp_path / "backup"
    try:
        await site.start_nodes()
        exchange.drop(site, 1, content=b"%PDF-" + bytes(100_000))
        await exchange.settled(site, 1)
        for number in (2, 3, 4):
            exchange.drop(site, number, content=b"%PDF-" + bytes(100_000 * number))
        await asyncio.to_thread(backed_up, "hub", site.hub_folder, backup)
        await exchange.settled(site, 4)

        # After the backup: the directory grows, a document is delivered, another is accepted and waits.
        async with open_hub(HubFolder(site.hub_folder)) as hub:
            late = NewAgency(AgencyCode("H23.99"), "Cơ quan mới", (), "H23")
            await hub.agencies.add(late, actor="test")
        exchange.drop(site, 5)
        await exchange.settled(site, 5)
        with pytest.raises(Unavailable, match="running"):
            await restored(HubFolder(site.hub_folder), actor="test")
        await site.nodes["H23"].stop()
        exchange.drop(site, 6)

        async def accepted() -> bool:
            return len(await sent(site, "G22")) == 6

        await exchange.until(accepted, "the hub to accept the sixth document")
        await site.hub.kill()
        site.hub_folder.rename(tmp_path / "lost")
        shutil.copytree(backup, site.hub_folder)
        begun = await restored(HubFolder(site.hub_folder), actor="test")
        assert begun.epoch != begun.before

        await site.start_hub()
        await site.nodes["H23"].start()
        documents = {story.message.message_id for story in await exchange.settled(site, 6)}

        async def all_at_hub() -> bool:
            here = await messages_at_hub(site)
            return (
                set(here["document"]) == documents
                and len(here["status"]) == 6
                and await receipts_at_hub(site, "ContentHandover") == 6
                and await has_run_dry(site)
            )

        await exchange.until(all_at_hub, "the restored hub to have every document, status and receipt")
        assert await exchange.subjects(site, "H23") == [f"Văn bản số {number}" for number in range(1, 7)]
        async with open_hub(HubFolder(site.hub_folder)) as hub:
            balance = await balance_of(hub.database)
            assert balance.balances
            assert (balance.overall.accepted, balance.overall.delivered) == (12, 12)

        # The directory: the nodes go on with the hub's history, in which the late agency is not.
        async def follow() -> bool:
            for code in site.nodes:
                async with open_node(NodeFolder(site.node_folder(code))) as node:
                    await node.directory.load()
                    if node.directory.version != begun.directory_version:
                        return False
                    if await node.directory.agency(AgencyCode("H23.99")) is not None:
                        return False
            return True

        await exchange.until(follow, "the nodes to follow the hub's directory")
        await audited_at_rest(site)
    finally:
        await site.stop()


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_a_node_put_back_to_a_backup_gets_back_what_it_took_and_what_it_sent(tmp_path: Path) -> None:
    """What it received lies in its software once; what it sent is in its outbox, whole; the audit is clean."""
    site = exchange.site(tmp_path)
    site.environment |= SOON
    await site.set_up()
    database, backup = site.node_folder("H23") / "data" / "node.db", tmp_path / "backup"
    try:
        await site.start_nodes()
        exchange.drop(site, 1)
        await exchange.settled(site, 1)
        await asyncio.to_thread(backed_up, "node", site.node_folder("H23"), backup)

        exchange.drop(site, 2, content=b"%PDF-" + bytes(100_000))
        exchange.drop(site, 3)
        exchange.drop(site, 4, sender="H23", to=("G22",), content=b"%PDF-" + bytes(200_000))
        await exchange.settled(site, 3)
        await exchange.settled(site, 1, sender="H23")
        own = await sent(site, "H23")
        answer = Submission(key="DMS-7", fingerprint="7" * 64, message=document(AgencyCode("H23"), AgencyCode("G22")))
        async with open_node(NodeFolder(site.node_folder("H23"))) as node:
            dms = (await node.api("dms").submit(answer)).message_id
        await exchange.settled(site, 2, sender="H23")
        before = await messages_at_hub(site)
        await site.nodes["H23"].kill()
        put_back(backup / "data" / "node.db", database)
        assert await sent(site, "H23") == {}
        await site.nodes["H23"].start()

        async def all_back() -> bool:
            async with open_node(NodeFolder(site.node_folder("H23"))) as node:
                received = await node.queries.inbox(limit=1000)
                documents = [row for row in received if row.message.kind is MessageKind.DOCUMENT]
                ours = await node.queries.outbox(limit=1000)
                deliveries = {
                    one.delivery for row in ours if row.message.kind is MessageKind.DOCUMENT for one in row.recipients
                }
                handed = {one.state for row in documents for one in row.handovers}
                return (
                    len(documents) == 3
                    and handed == {HandoverState.HANDED_OVER}
                    and len(await sent(site, "H23")) == 2
                    and deliveries == {DeliveryState.HANDED_OVER}
                )

        await exchange.until(all_back, "the restored node to have all that it had")
        assert own.items() <= (await sent(site, "H23")).items()
        assert await exchange.subjects(site, "H23") == [f"Văn bản số {number}" for number in (1, 2, 3)]

        # The software hands its document in again under the same key: it is the one that was sent, and the only one.
        async with open_node(NodeFolder(site.node_folder("H23"))) as node:
            again = await node.api("dms").submit(answer)
            assert (again.message_id, again.repeated) == (dms, True)
        await exchange.settled(site, 2, sender="H23")
        assert await messages_at_hub(site) == before, "a document or a status 01 was sent twice"
        async with open_hub(HubFolder(site.hub_folder)) as hub:
            balance = await balance_of(hub.database)
            assert balance.balances
            assert balance.overall.pending == 0
        await attachments_fetched(site, "H23")
        await audited_at_rest(site)
    finally:
        await site.stop()
