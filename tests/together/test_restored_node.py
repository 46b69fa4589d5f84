"""A node put back to a backup from before all that it said: what it had said holds again once its cause comes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from node.store import deadlines, requests
from node.store.states import DeadlineStage, RequestState
from schemas.message import StatusCode
from schemas.times import DateText
from tests.together.documents import document, recall, status
from tests.together.ground import Ground
from tests.together.site import opened


async def test_what_was_answered_stays_answered(ground: Ground, tmp_path: Path) -> None:
    """A document that was finished is due no more, and a recall that was agreed to asks nothing, after a restore."""
    folder = ground.copy(tmp_path / "site")
    due = DateText(f"{ground.made_at + timedelta(days=3):%Y/%m/%d}")
    finished = replace(document("G22", "H23", number=1), due_date=due)
    given_back = replace(document("G22", "H23", number=2), due_date=due)
    async with opened(folder, ground.made_at) as site:
        g22, h23 = site.node("g22"), site.node("h23")
        work = await g22.submit(finished, key="finished")
        taken_back = await g22.submit(given_back, key="given back")
        asking = await g22.submit(recall(given_back, 3), key="recall", about=(taken_back,))
        await site.run_dry()
        await h23.submit(status("H23", finished, StatusCode.FINISHED), key="06", about=(work,))
        await h23.submit(status("H23", given_back, StatusCode.REQUEST_AGREED), key="15", about=(asking,))
        await site.run_dry()
        at = site.clock.now
    shutil.rmtree(folder / "h23")
    shutil.copytree(ground.folder / "h23", folder / "h23")
    async with opened(folder, at) as site:
        await site.run_dry()
        database = site.node("h23").foundation.database
        kept = await database.read(lambda transaction: deadlines.of(transaction, (work, taken_back)))
        asked = await database.read(lambda transaction: requests.touching(transaction, (asking,)))
    assert {row.message_id: row.stage for row in kept} == dict.fromkeys((work, taken_back), DeadlineStage.SETTLED)
    assert [row.state for row in asked] == [RequestState.AGREED]
