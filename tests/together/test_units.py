"""A node declares and retires units at its hub, over TLS."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.sdk import DeclaredUnit, UnitStanding
from certs.enrolment_token import EnrolmentToken
from congvan.cli import app
from hub.initialisation import NewHub
from hub.initialisation import initialise as initialise_hub
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from node.foundation import open_foundation
from node.initialisation import NewNode
from node.initialisation import initialise as initialise_node
from node.settings import NodeFolder
from runtime.clock import utc_now
from schemas.codes import AgencyCode
from tests.hub.admin.conftest import Clock, running

UNIT = AgencyCode("H23.12")


async def test_a_node_declares_a_unit_and_serves_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Done at the hub, it stands in the node's directory when the answer is given; by adapter and by command."""
    monkeypatch.setenv("CONGVAN_HUB__HUB__UNITS__POLICY", "at-once")
    folder, clock = HubFolder(tmp_path / "hub"), Clock(datetime.now(UTC))
    await initialise_hub(folder, NewHub("hub.example.test", "127.0.0.1:0", ("127.0.0.1",)), clock=clock)
    async with running(folder, clock) as hub:
        added = await hub.office.agencies.add(NewAgency(AgencyCode("H23"), "Hải Dương"), actor="test")
        assert added.token is not None
        here = NodeFolder(tmp_path / "node")
        token = EnrolmentToken.parse(added.token.text)
        await initialise_node(here, NewNode(hub=hub.url, token=token), clock=utc_now)
        async with open_foundation(here) as node:
            await node.directory.load()
            declared = await node.api("vxp").declare(DeclaredUnit(code=UNIT, name="Sở Tư pháp", mail="stp@h23.vn"))
            assert declared is UnitStanding.DONE
            assert UNIT in node.directory.served_codes
        told = await asyncio.to_thread(_command, here.root, "declare", "H23.12", "--name", "Sở Tư pháp Hải Dương")
        assert told == {"code": "H23.12", "state": "done"}
        assert (await hub.office.agencies.view(UNIT)).entry.name == "Sở Tư pháp Hải Dương"
        assert await asyncio.to_thread(_command, here.root, "retire", "H23.12") == told
        async with open_foundation(here) as node:
            await node.directory.load()
            assert UNIT not in node.directory.served_codes


def _command(folder: Path, *arguments: str) -> object:
    result = CliRunner().invoke(app, ["node", "unit", *arguments, "--dir", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
