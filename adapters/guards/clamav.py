"""The guard `clamav`: every attachment is read by clamd before it goes on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from adapters.guards.clamd import Clamd, TooLongForClamd
from adapters.guards.protocol import (
    Guard,
    GuardContext,
    GuardedAttachment,
    GuardedMessage,
    Passes,
    Refuses,
    Verdict,
    Waits,
)
from adapters.sdk import Health
from runtime.addresses import Address
from runtime.settings import Settings, settings_of
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable
from schemas.limits import MIB

#: Attachments that are remembered as scanned: some 200 bytes each.
_REMEMBERED: Final = 10_000


class TooLarge(StrEnum):
    REFUSE = "refuse"
    WAIT = "wait"


def _socket(text: str) -> str:
    if not text.startswith("/"):
        Address.parse(text)
    return text


class ClamavSettings(Settings):
    """Every attachment is read by ClamAV's daemon. While it is down, documents wait, outgoing and incoming.

    clamd sees the documents, and over TCP so does whoever listens in between: a Unix socket, or a net of its own.
    """

    socket: Annotated[str, AfterValidator(_socket)] = "/run/clamav/clamd.ctl"
    """Where clamd listens: the path of its LocalSocket, or host:port."""
    largest_bytes: Annotated[int, Field(ge=1)] = 25 * MIB
    """The largest attachment that clamd is given. Not more than StreamMaxLength and MaxFileSize of clamd.conf: of a
    longer one it reads a part, or nothing, and calls it clean."""
    too_large: TooLarge = TooLarge.REFUSE
    """What becomes of a document with a larger attachment: refuse, or wait until clamd and this setting are changed."""
    silence_seconds: Annotated[float, Field(gt=0, le=600)] = 20.0
    """How long clamd may take to accept a connection, or to take in a piece of a file."""
    remember_seconds: Annotated[float, Field(ge=0, le=7 * 86400)] = 3600.0
    """How long an attachment that was clean is not read again, under the same version of engine and signatures. 0: each
    is read each time."""


async def open_clamav(context: GuardContext) -> Guard:
    """Raises `settings-invalid`. clamd need not be there yet."""
    settings = settings_of(ClamavSettings, context.settings, source=f"[guards.{context.name}]")
    return _Clamav(settings, context.clock)


class _Clamav:
    def __init__(self, settings: ClamavSettings, clock: Callable[[], datetime]) -> None:
        place = Path(settings.socket) if settings.socket.startswith("/") else Address.parse(settings.socket)
        self._clamd = Clamd(place, settings.silence_seconds)
        self._settings = settings
        self._clean = _CleanFiles(timedelta(seconds=settings.remember_seconds), clock)

    async def judge(self, message: GuardedMessage) -> Verdict:
        if not message.attachments:
            return Passes()
        # Asked before each round: with other signatures what was clean is to be read again.
        version = await self._clamd.version()
        for attachment in message.attachments:
            verdict = await self._verdict(attachment, version)
            if not isinstance(verdict, Passes):
                return verdict
        return Passes(version)

    async def _verdict(self, attachment: GuardedAttachment, version: str) -> Verdict:
        if self._clean.holds(attachment.digest, version):
            return Passes()
        if attachment.size > self._settings.largest_bytes:
            return self._too_large(attachment)
        try:
            async with attachment.open(0) as chunks:
                found = await self._clamd.scan(chunks)
        except TooLongForClamd:
            return self._too_large(attachment)
        if found is not None:
            return Refuses(
                "virus-found",
                f"Tệp đính kèm có mã độc ({found}). / The file {attachment.name[:120]!r} carries {found}, as ClamAV "
                "says.",
            )
        self._clean.add(attachment.digest, version)
        return Passes()

    def _too_large(self, attachment: GuardedAttachment) -> Verdict:
        reason = (
            f"Tệp quá lớn để quét mã độc. / The file {attachment.name[:120]!r} of {attachment.size} bytes is too large "
            "to be scanned here."
        )
        if self._settings.too_large is TooLarge.WAIT:
            return Waits("scan-too-large", reason, seconds=600.0)
        return Refuses("scan-too-large", reason)

    async def health(self) -> Health:
        try:
            return Health(ok=True, detail=await self._clamd.version())
        except Unavailable as error:
            return Health(ok=False, detail=error.message)

    async def close(self) -> None: ...


class _CleanFiles:
    """Digests of files in which nothing was found, as long as that is worth something; the oldest go first."""

    def __init__(self, worth: timedelta, clock: Callable[[], datetime]) -> None:
        self._worth = worth
        self._clock = clock
        self._seen: OrderedDict[tuple[Sha256Hex, str], datetime] = OrderedDict()

    def holds(self, digest: Sha256Hex, version: str) -> bool:
        at = self._seen.get((digest, version))
        # A clock that was set back makes nothing last longer.
        return at is not None and timedelta(0) <= self._clock() - at < self._worth

    def add(self, digest: Sha256Hex, version: str) -> None:
        self._seen[digest, version] = self._clock()
        self._seen.move_to_end((digest, version))
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
