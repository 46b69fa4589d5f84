"""A hub and nodes in one folder, each a process of its own, over mutual TLS on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from congvan.demo.programs import COMMAND, Program, free_port, listening, run, run_json

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

    `command` is the congvan command; `launcher` the one that runs what serves, where that is another (tests put one
    between that kills).
    """

    folder: Path
    members: Sequence[Member]
    host: str = "127.0.0.1"
    name: str = "hub.congvan.example"
    command: Sequence[str] = COMMAND
    launchers: dict[str, Sequence[str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(init=False)
    hub: Program = field(init=False)
    nodes: dict[str, Program] = field(init=False)

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def hub_folder(self) -> Path:
        return self.folder / "hub"

    def node_folder(self, code: str) -> Path:
        return self.folder / f"node-{code}"

    async def congvan(self, *arguments: str) -> str:
        """Run a `congvan` command to its end; gives what it prints."""
        return await run(*arguments, command=self.command, environment=self.environment)

    async def congvan_json(self, *arguments: str) -> Any:
        return await run_json(*arguments, command=self.command, environment=self.environment)

    async def on_hub(self, *arguments: str) -> Any:
        """The JSON answer of `congvan hub …` on this site's hub."""
        return await self.congvan_json("hub", *arguments, "--dir", str(self.hub_folder))

    async def on_node(self, code: str, *arguments: str) -> Any:
        """The JSON answer of `congvan node …` on the node of `code`."""
        return await self.congvan_json("node", *arguments, "--dir", str(self.node_folder(code)))

    async def set_up(self) -> None:
        """Make the hub and start it, admit the members, enrol their nodes (which are not started)."""
        self.port = free_port(self.host)
        hub = ("hub", "init", str(self.hub_folder), "--name", self.name, "--listen", f"{self.host}:{self.port}")
        await self.congvan(*hub, "--address", self.host)
        tokens = [await self._admit(member) for member in self.members]
        self.hub = self._program("hub", self.hub_folder, HUB_ENVIRONMENT)
        self.nodes = {
            member.code: self._program("node", self.node_folder(member.code), NODE_ENVIRONMENT)
            for member in self.members
        }
        await self.start_hub()
        await asyncio.gather(
            *(
                self.congvan("node", "init", str(self.node_folder(member.code)), "--hub", self.url, "--token", token)
                for member, token in zip(self.members, tokens, strict=True)
            )
        )

    async def start_hub(self) -> None:
        await self.hub.start()
        await listening(self.host, self.port)

    async def start_nodes(self) -> None:
        await asyncio.gather(*(node.start() for node in self.nodes.values()))

    async def stop(self) -> None:
        """Stop what runs, nodes first."""
        await asyncio.gather(*(node.stop() for node in self.nodes.values() if node.is_running))
        if self.hub.is_running:
            await self.hub.stop()

    async def _admit(self, member: Member) -> str:
        older = [option for code in member.older_codes for option in ("--older-code", code)]
        answer = await self.on_hub("agency", "add", member.code, "--name", member.name, *older)
        return str(answer["enrolment"]["token"])

    def _program(self, kind: str, folder: Path, environment: dict[str, str]) -> Program:
        return Program(
            (kind, "serve", "--dir", str(folder)),
            self.folder / f"{folder.name}.log",
            command=self.launchers.get(folder.name, self.command),
            environment=environment | self.environment,
        )
