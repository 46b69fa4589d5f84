"""A hub and nodes in one folder, each a process of its own, over mutual TLS on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from certs.enrolment_token import EnrolmentToken
from congvan.demo.programs import COMMAND, Program, free_port, listening
from hub.foundation import open_foundation as open_hub
from hub.initialisation import NewHub
from hub.initialisation import initialise as initialise_hub
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from node.initialisation import NewNode
from node.initialisation import initialise as initialise_node
from node.settings import NodeFolder
from runtime.clock import utc_now
from runtime.postgres_address import DatabaseSettings
from schemas.codes import AgencyCode

#: The logs are for looking things up: one JSON object a line.
HUB_ENVIRONMENT = {"CONGVAN_HUB__LOG__FORMAT": "json"}
NODE_ENVIRONMENT = {"CONGVAN_NODE__LOG__FORMAT": "json"}


@dataclass(frozen=True, slots=True)
class Member:
    """An agency that takes part, with a node of its own."""

    code: str
    name: str
    older_codes: tuple[str, ...] = ()


@dataclass(slots=True)
class Site:
    """The programs in `folder`: `hub/` and, for each member, `node-<code>/`, with their logs beside them.

    `launchers` are the commands that stand for `congvan` where a program needs another (tests put one between that
    kills); `environment` is what the programs get beside this process's own; `databases` are those of the folders that
    keep their state on a server.
    """

    folder: Path
    members: Sequence[Member]
    host: str = "127.0.0.1"
    name: str = "hub.congvan.example"
    launchers: dict[str, Sequence[str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    databases: dict[str, DatabaseSettings] = field(default_factory=dict)
    port: int = field(init=False)
    programs: dict[str, Program] = field(init=False, default_factory=dict)

    @property
    def hub(self) -> Program:
        return self.programs["hub"]

    @property
    def nodes(self) -> dict[str, Program]:
        """The members' nodes, by code."""
        return {member.code: self.programs[f"node-{member.code}"] for member in self.members}

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def hub_folder(self) -> Path:
        return self.folder / "hub"

    def node_folder(self, code: str) -> Path:
        return self.folder / f"node-{code}"

    async def set_up(self) -> None:
        """Make the hub and start it, admit the members, enrol their nodes (which are not started).

        What `congvan hub init`, `hub agency add` and `node init` do is done in this process: each command would spend
        a second on imports. Who is cut short here leaves nothing running.
        """
        self.port = free_port(self.host)
        self.programs["hub"] = self._program("hub", self.hub_folder, HUB_ENVIRONMENT)
        for member in self.members:
            folder = self.node_folder(member.code)
            self.programs[folder.name] = self._program("node", folder, NODE_ENVIRONMENT)
        hub = HubFolder(self.hub_folder)
        new = NewHub(
            name=self.name,
            listen=f"{self.host}:{self.port}",
            addresses=(self.host,),
            database=self._database(self.hub_folder),
        )
        await initialise_hub(hub, new, clock=utc_now)
        async with self._hub_stopped_if_cut_short():
            await self.hub.start()
            tokens = await self._admit_all(hub)
            await listening(self.host, self.port)
            # One after the other: Alembic, which makes their databases, keeps its context in a global.
            for code, token in tokens.items():
                await self._enrol(code, token)

    async def _admit_all(self, folder: HubFolder) -> dict[str, EnrolmentToken]:
        tokens = {}
        async with open_hub(folder) as hub:
            for member in self.members:
                older = tuple(AgencyCode.parse(code) for code in member.older_codes)
                new = NewAgency(AgencyCode.parse(member.code), member.name, older, None)
                added = await hub.agencies.add(new, actor="demo")
                if added.token is None:
                    raise LookupError(f"{member.code} got no token")
                tokens[member.code] = EnrolmentToken.parse(added.token.text)
        return tokens

    async def _enrol(self, code: str, token: EnrolmentToken) -> None:
        folder = self.node_folder(code)
        new = NewNode(hub=self.url, token=token, database=self._database(folder))
        await initialise_node(NodeFolder(folder), new, clock=utc_now)

    def _database(self, folder: Path) -> DatabaseSettings:
        return self.databases.get(folder.name, DatabaseSettings())

    async def start_hub(self) -> None:
        async with self._hub_stopped_if_cut_short():
            await self.hub.start()
            await listening(self.host, self.port)

    async def start_nodes(self) -> None:
        await asyncio.gather(*(node.start() for node in self.nodes.values()))

    async def stop(self) -> None:
        """Stop what runs."""
        await asyncio.gather(*(program.stop() for program in self.programs.values() if program.is_running))

    @contextlib.asynccontextmanager
    async def _hub_stopped_if_cut_short(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            if self.hub.is_running:
                await self.hub.stop()
            raise

    def _program(self, kind: str, folder: Path, environment: dict[str, str]) -> Program:
        return Program(
            (kind, "serve", "--dir", str(folder)),
            self.folder / f"{folder.name}.log",
            command=self.launchers.get(folder.name, COMMAND),
            environment=environment | self.environment,
        )
