"""One call of an operation, and what an operation is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import web

from adapters.sdk import MessageKind
from adapters.vxp.parameters import Parameters
from adapters.vxp.systems import System


@dataclass(frozen=True, slots=True)
class Call:
    """A verified request: who calls, with which parameters."""

    request: web.Request
    system: System
    parameters: Parameters

    @property
    def kind(self) -> MessageKind:
        """What `messagetype` asks for: `status`, or documents, whatever word another client has for them."""
        word = (self.parameters.find("messagetype") or "").lower()
        return MessageKind.STATUS if "status" in word else MessageKind.DOCUMENT


Handler: TypeAlias = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API: its name as the path ends, the method that the SDK uses, and who answers."""

    name: str
    method: str
    handler: Handler

    #: An error of a download is an answer without a body: whatever has one becomes the client's document.
    @property
    def is_download(self) -> bool:
        return self.method == "GET"
