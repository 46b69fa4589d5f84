"""Events: read page by page or followed as a stream, from where one was, for one's own agencies."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from adapters.rest.tokens import Scope
from tests.adapters.rest.conftest import Api, opened_api
from tests.node.core.asking import arrives
from tests.node.core.world import G22, H23, H23_12, World, document, envelope
from tests.services.columns import SqliteColumn


async def arrived(api: Api, world: World, number: int, *codes: Any) -> str:
    """A document from G22 for `codes` has come, and is offered."""
    sealed = world.sealed(envelope(document(G22, *codes), submission_id=str(number)))
    api.hub.deliver(sealed.data, list(codes))
    await arrives(api.node, sealed.message_id)
    return sealed.message_id


async def next_event(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """The fields of the next block of a stream that is no heartbeat."""
    async with asyncio.timeout(60):
        while True:
            fields: dict[str, str] = {}
            while (line := (await answer.content.readline()).decode()) not in ("\n", ""):
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
            if fields.get("id") or not line:
                return fields


async def test_events_are_read_page_by_page(api: Api, keys: World) -> None:
    """Pages follow one another by `last`, each event once, in the order of their numbers; an empty one waits."""
    async with api.node.running():
        ids = [await arrived(api, keys, number, H23) for number in range(2)]
        await api.waits(2)
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        _, page = await api.ask("GET", "/v1/events", params={"after": after, "limit": 1})
        if not page["events"]:
            break
        found += page["events"]
        after = page["last"]
    assert [one["number"] for one in found] == list(range(1, len(found) + 1))
    assert [one["message_id"] for one in found if one["name"] == "document.arrived"] == ids
    assert (await api.ask("GET", "/v1/events", params={"after": after, "wait": 0.1}))[1] == {
        "events": [],
        "last": after,
    }


async def test_a_stream_goes_on_where_it_was(api: Api, keys: World) -> None:
    """A stream tells what comes, as it comes; with Last-Event-ID it begins behind that, and misses nothing."""
    headers = {"Authorization": f"Bearer {api.token}"}
    async with api.node.running():
        async with api.session.get("/v1/events/stream", headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            message_id = await arrived(api, keys, 1, H23)
            first = await next_event(answer)
        told = json.loads(first["data"])
        assert (first["event"], told["message_id"], told["agency"]) == ("document.arrived", message_id, "H23")
        assert first["id"] == str(told["number"])
        await arrived(api, keys, 2, H23)
        again = {**headers, "Last-Event-ID": first["id"]}
        async with api.session.get("/v1/events/stream", headers=again) as answer:
            assert (await next_event(answer))["id"] == str(told["number"] + 1)
        status, problem = await api.ask("GET", "/v1/events/stream", headers={"Last-Event-ID": "x"})
        assert (status, problem["code"]) == (400, "parameter-invalid")


async def test_events_of_other_agencies_are_not_told(api: Api, keys: World) -> None:
    """A bound token sees the events of its agencies alone; its place in the log moves on past the others."""
    token = api.new_token(Scope.EVENTS, agencies=["H23.12"])
    async with api.node.running():
        await arrived(api, keys, 1, H23)
        mine = await arrived(api, keys, 2, H23_12)
        await api.waits(2)
        _, page = await api.ask("GET", "/v1/events", token=token)
        assert {one["message_id"] for one in page["events"]} == {mine}
        _, everything = await api.ask("GET", "/v1/events")
        assert (page["last"], len(everything["events"]) > len(page["events"])) == (everything["last"], True)
        headers = {"Authorization": f"Bearer {token}"}
        async with api.session.get("/v1/events/stream?after=0", headers=headers) as answer:
            while "data" not in (block := await next_event(answer)):
                assert block["id"]
            assert json.loads(block["data"])["message_id"] == mine


async def test_a_client_that_is_gone_leaves_its_stream_to_the_next(
    tmp_path: Path, keys: World, sqlite_column: SqliteColumn
) -> None:
    """Software that lost its connection and comes again at once is not told that its own dead stream is in the way."""
    async with opened_api(tmp_path, keys, sqlite_column, streams=1) as api, api.node.running():
        headers = {"Authorization": f"Bearer {api.token}"}
        # The heartbeat, which would find a dead stream, is 15 s away.
        async with asyncio.timeout(10):
            for _ in range(2):
                status = 0
                while status != 200:
                    async with api.session.get("/v1/events/stream", headers=headers) as answer:
                        status = answer.status
                        answer.close()
                    await asyncio.sleep(0.02)
    sqlite_column.forget()


async def test_a_stream_ends_with_its_token_and_with_the_node(
    tmp_path: Path, keys: World, sqlite_column: SqliteColumn
) -> None:
    """A revoked token is told nothing more; streams are bounded; a node that stops does not wait for them."""
    async with opened_api(tmp_path, keys, sqlite_column, streams=2) as api, api.node.running():
        revoked = api.new_token(Scope.EVENTS, name="revoked")
        stream = "/v1/events/stream"
        async with (
            api.session.get(stream, headers={"Authorization": f"Bearer {revoked}"}) as first,
            api.session.get(stream, headers={"Authorization": f"Bearer {api.token}"}) as second,
        ):
            status, problem = await api.ask("GET", stream)
            assert (status, problem["code"]) == (429, "too-many-streams")
            api.tokens.revoke("revoked")
            await arrived(api, keys, 1, H23)
            assert "data" in await next_event(second)
            async with asyncio.timeout(60):
                assert await first.read() == b""
    sqlite_column.forget()
