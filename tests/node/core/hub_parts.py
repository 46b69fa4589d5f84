"""What the hub simulator is made of: what it keeps, what can go wrong with it, how it reads and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from aiohttp import BodyPartReader, web

from certs.sealing import SealingKey
from schemas.envelope import Envelope
from schemas.errors import CongvanError
from transport import paths
from transport.wire import EnvelopeEntry, OutcomesRequest, ReceiptEntry, Wire


@dataclass(slots=True)
class Waiting:
    """An entry of the node's mailbox, with the proof that it needs; `leased_until` is None while nobody has it.

    `express`: it rides in that lane.
    """

    entry: EnvelopeEntry | ReceiptEntry
    proofs: dict[str, bytes]
    leased_until: datetime | None = None
    express: bool = False


@dataclass(slots=True)
class Submission:
    data: bytes
    wanted: Mapping[str, int]
    brought: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Faults:
    """What goes wrong. `refuse` is asked of each envelope; those that `hold` picks are not answered yet. At the byte
    offsets in `cut_uploads_at` and `cut_blobs_at` the connection breaks, once at each. Blobs in `hold_blobs` do not
    come yet; all come with a rest of `slow_blobs` seconds in every 64 KiB. `before_cut` is awaited before a blob's
    connection breaks, so that a test can see what has arrived."""

    down: bool = False
    refuse: Callable[[str], CongvanError | None] = lambda _message_id: None
    hold: Callable[[Envelope], bool] = lambda _envelope: False
    acknowledge_with: SealingKey | None = None
    acknowledge_other: str | None = None
    cut_uploads_at: list[int] = field(default_factory=list)
    cut_blobs_at: list[int] = field(default_factory=list)
    wrong_blobs: dict[str, bytes] = field(default_factory=dict)
    hold_blobs: set[str] = field(default_factory=set)
    slow_blobs: float = 0.0
    before_cut: Callable[[int], Awaitable[None]] | None = None
    no_versions: bool = False
    refuse_report: Callable[[OutcomesRequest], CongvanError | None] = lambda _request: None


class BrokenOff(Exception):  # noqa: N818 - no error: what a test asked for
    """The connection was cut; nobody hears the answer."""


def json_answer(answer: Wire, status: int = 200) -> web.Response:
    return web.Response(status=status, body=answer.encode(), content_type=paths.JSON_TYPE)


def break_off(request: web.Request) -> NoReturn:
    assert request.transport is not None
    request.transport.abort()
    raise BrokenOff


async def submission_in(request: web.Request) -> tuple[bytes, dict[str, bytes]]:
    if request.content_type == paths.ENVELOPE_TYPE:
        return await request.read(), {}
    data, attachments = b"", {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        content = bytes(await part.read())
        if part.name == paths.ENVELOPE_PART:
            data = content
        else:
            attachments[str(part.name).removeprefix(paths.ATTACHMENT_PART_PREFIX)] = content
    return data, attachments
