"""How the kit looks at the software behind an adapter: a probe, which the adapter's author supplies.

Without a probe the kit sees what an adapter answers, and what it does to the node and the disk. With one it sees what
the software has got, and can act for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class ShownFile:
    """An attachment in the software: the name under which the software has it, and the SHA-256 of its bytes."""

    name: str
    digest: Sha256Hex


@dataclass(frozen=True, slots=True)
class Shown:
    """One appearance of a message in the software.

    `key` is `str(delivery.key)` as the software can tell it, None if it cannot. `files` are its attachments in their
    order, None where the software keeps none.
    """

    key: str | None
    files: tuple[ShownFile, ...] | None = None


class Probe(Protocol):
    """The software, or what stands for it, as the kit sees it. It outlives restarts of the adapter."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What the adapter's table needs to find the software: a folder, a URL. It goes over the given settings."""

    async def take(self) -> None:
        """Do what the software, or its user, does with what waits for it: fetch, keep, confirm, move away.

        An adapter that hands over by itself may need nothing of this. It is called again and again, also while the
        adapter starts or has died: what it raises counts as "not this time".
        """

    async def shown(self) -> Sequence[Shown]:
        """Every appearance of a message in the software since the probe was made; one that came twice stands twice."""

    async def close(self) -> None: ...


@runtime_checkable
class SourceProbe(Probe, Protocol):
    """A probe of an adapter that is a source as well: it can have the software send."""

    async def send(self, number: int) -> None:
        """Have the software send a document from H23 to G22; each `number` is another document."""


@runtime_checkable
class BreakableProbe(Probe, Protocol):
    """A probe of software that can be away: a server that is down, a share that is not mounted."""

    async def break_down(self) -> None:
        """Let the software be out of reach, or answer errors, from now on."""

    async def mend(self) -> None:
        """Let it be as before."""


#: Makes a probe; the folder is its own.
ProbeFactory: TypeAlias = Callable[[Path], Awaitable[Probe]]
