"""A hub and three nodes, made once; and the same after an exchange of everything that there is to exchange."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from adapters.sdk import Accepted, Delivery, Outcome, Refused
from schemas.message import Document
from tests.together.documents import document, recall
from tests.together.ground import Ground, make_ground
from tests.together.site import opened


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """A hub and three enrolled nodes that have exchanged nothing yet."""
    return make_ground(tmp_path_factory.mktemp("ground") / "site")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A ground on which documents travelled: `sent` are their ids by the key that they were submitted with."""

    ground: Ground
    at: datetime
    sent: dict[str, str]

    def id_of(self, key: str) -> str:
        return self.sent[key]


@pytest.fixture(scope="session")
def exchanged(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Exchanged:
    """Documents with attachments of both kinds, a recall, one refused by software, one expired, one on its way."""
    folder = tmp_path_factory.mktemp("exchanged") / "site"
    at, sent = asyncio.run(_exchange(ground.copy(folder), ground.made_at))
    return Exchanged(Ground(folder, ground.made_at), at, sent)


async def _exchange(folder: Path, at: datetime) -> tuple[datetime, dict[str, str]]:
    short, long = folder / "short.pdf", folder / "long.pdf"
    short.write_bytes(b"%PDF-1.7 short")
    long.write_bytes(b"%PDF-1.7 long" * 8000)
    sent: dict[str, str] = {}
    async with opened(folder, at) as site:
        g22, h31 = site.node("g22"), site.node("h31")
        site.software["h31"].answer = _refusing
        circular = document("G22", "H23", "H23.12", "H31", number=1)
        sent["circular"] = await g22.submit(circular, short, long, key="circular")
        sent["answer"] = await h31.submit(document("H31", "G22", number=2), short, key="answer")
        sent["unwanted"] = await g22.submit(document("G22", "H31", number=3), key="unwanted")
        await site.run_dry()
        sent["recall"] = await g22.submit(recall(circular, 4), key="recall", about=(sent["circular"],))
        await site.run_dry()
        sent["late"] = await g22.submit(document("G22", "H23", number=5), key="late")
        await g22.send()
        site.clock.advance(86400 * 60)
        await site.hub.sweep()
        await site.run_dry()
        sent["waiting"] = await g22.submit(document("G22", "H23", number=6), short, long, key="waiting")
        await g22.send()
        return site.clock.now, sent


async def _refusing(delivery: Delivery) -> Outcome:
    unwanted = isinstance(delivery.message, Document) and delivery.message.code.number == "3"
    return Refused("Không thuộc thẩm quyền") if unwanted else Accepted()


@pytest.fixture
def folder(exchanged: Exchanged, tmp_path: Path) -> Path:
    """What was exchanged, closed, in a folder of the test's own."""
    return exchanged.ground.copy(tmp_path / "site")
