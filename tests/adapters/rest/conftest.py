"""The REST API of a real node, in this process, with a hub's simulator behind it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.rest import Rest, open_rest
from adapters.rest.tokens import Scope, Tokens
from adapters.sdk import AdapterContext
from node.usecases.guarding import Post
from schemas.codes import AgencyCode
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually, open_node
from tests.node.core.world import World
from tests.services.columns import SqliteColumn

METADATA: Mapping[str, object] = {
    "subject": "V/v gửi, nhận văn bản điện tử",
    "code": "6101/UBND-VP",
    "place": "Hải Dương",
    "to": ["G22"],
    "from": "H23",
    "signer": {"full_name": "Nguyễn Thị Lan"},
}


@dataclass
class Api:
    """What a DMS has of the API: its address and a token. `node` and `hub` are what a test sees besides."""

    node: Node
    hub: HubSimulator
    adapter: Rest
    tokens: Tokens
    session: aiohttp.ClientSession
    token: str
    folder: Path
    keys: itertools.count[int] = field(default_factory=itertools.count)

    def new_token(self, *scopes: Scope, agencies: Sequence[str] = (), name: str = "") -> str:
        return self.tokens.add(
            name or f"token-{next(self.keys)}",
            scopes=scopes or tuple(Scope),
            agencies=[AgencyCode(code) for code in agencies],
            expires_at=self.node.clock() + timedelta(days=1),
        ).text

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        data: Any = None,
        key: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Any = None,
    ) -> tuple[int, Any]:
        """The status, and the JSON (bytes, if it is none) of an answer."""
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not None:
            data = json.dumps(body)
            sent["Content-Type"] = "application/json"
        async with self.session.request(method, path, data=data, headers=sent, params=params) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if "json" in answer.content_type else content

    async def submit(
        self,
        *files: tuple[str, bytes],
        metadata: Mapping[str, object] = METADATA,
        key: str = "1",
        path: str = "/v1/documents",
        token: str | None = None,
        override: object = None,
    ) -> tuple[int, Any]:
        """Send a document as a form."""
        data = form(*files, metadata=metadata, override=override)
        return await self.ask("POST", path, data=data, key=key, token=token)

    async def waits(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many messages await the software; gives what the API lists."""

        async def there() -> bool:
            return await self.node.facade.count_waiting() == count

        await eventually(there, f"{count} wait")
        _, listed = await self.ask("GET", "/v1/inbox")
        found: list[dict[str, Any]] = listed["messages"]
        return found


def form(
    *files: tuple[str, bytes], metadata: Mapping[str, object] = METADATA, override: object = None
) -> aiohttp.MultipartWriter:
    body = aiohttp.MultipartWriter("form-data")
    if override is not None:
        body.append_json(override).set_content_disposition("form-data", name="override")
    body.append_json(metadata).set_content_disposition("form-data", name="metadata")
    for name, content in files:
        part = body.append(io.BytesIO(content), {"Content-Type": "application/octet-stream"})
        part.set_content_disposition("form-data", name="file", filename=name, quote_fields=False)
    return body


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("rest-world"))


@contextlib.asynccontextmanager
async def opened_api(
    folder: Path, world: World, column: SqliteColumn, *, posts: Sequence[Post] = (), **settings: object
) -> AsyncIterator[Api]:
    """A node whose REST adapter listens, with a token that gives everything; `posts` are its guards."""
    async with (
        HubSimulator(world).serve() as hub,
        open_node(folder / "node", world.identity(), hub.url, column, posts=posts) as node,
    ):
        await node.directory.sync(node.hub)
        private = folder / "rest"
        adapter = await open_rest(
            AdapterContext(
                name="rest",
                settings={"listen": "127.0.0.1:0", **settings},
                node=node.facade,
                folder=private,
                clock=node.clock,
            )
        )
        node.adapter.answer = adapter.deliver
        stop = asyncio.Event()
        running = asyncio.create_task(adapter.run(stop))
        try:
            await eventually(lambda: adapter.url is not None or running.done())
            assert adapter.url is not None
            async with aiohttp.ClientSession(adapter.url) as session:
                api = Api(node, hub, adapter, Tokens(private / "tokens.json", node.clock), session, "", private)
                api.token = api.new_token(name="everything")
                yield api
        finally:
            stop.set()
            await running
            await adapter.close()


@pytest.fixture
async def api(tmp_path: Path, keys: World, sqlite_column: SqliteColumn) -> AsyncIterator[Api]:
    async with opened_api(tmp_path, keys, sqlite_column) as api:
        yield api
    sqlite_column.forget()
