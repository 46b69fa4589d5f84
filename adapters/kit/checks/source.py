"""An adapter that is a source: what the software sends reaches the node once."""

from __future__ import annotations

import asyncio
from typing import Final

from adapters.kit.ledger import Ledger
from adapters.kit.node import Faults
from adapters.kit.probing import SourceProbe
from adapters.kit.stage import Stage, until

#: How many submissions the node cannot take, before it takes one.
_REFUSED: Final = 2


async def source(stage: Stage, ledger: Ledger) -> None:
    if not isinstance(stage.probe, SourceProbe):
        ledger.could_not_see("what the software sends: the probe cannot have it send")
        return
    before = len(stage.node.record.submissions())
    async with stage.opened():
        ledger.tried()
        await stage.probe.send(1)
        await _submitted(stage, ledger, before + 1, "Had the software send a document.")
        ledger.tried()
        stage.node.faults = Faults(refuse_submissions=_REFUSED)
        tried = len(stage.node.attempts)
        await stage.probe.send(2)
        await _submitted(stage, ledger, before + 2, "Had it send another, which the node could not take at first.")
        keys = {(one.key, one.fingerprint) for one in stage.node.attempts[tried:]}
        if len(keys) > 1:
            ledger.broke(
                done="Answered a submission with Unavailable, and took the next one.",
                expected="Each try bears the same key and fingerprint: it is the same document.",
                happened=f"There were {len(keys)}.",
                mend="Make the key from the document itself, or keep it with the document.",
            )
    async with stage.opened():
        ledger.tried()
        await stage.probe.send(3)
        await _submitted(stage, ledger, before + 3, "Made the adapter again, and had the software send a third.")


async def _submitted(stage: Stage, ledger: Ledger, count: int, done: str) -> None:
    """Wait until the node has `count` messages; more, or fewer when patience ends, is a finding."""
    await until(lambda: len(stage.node.record.submissions()) >= count, stage.patience)
    # What is sent twice is sent soon.
    await asyncio.sleep(0.2)
    found = len(stage.node.record.submissions())
    if found != count:
        ledger.broke(
            done=done,
            expected=f"The node has taken {count} messages in all, each document once.",
            happened=f"It has taken {found}.",
            mend="Call NodeApi.submit with one key for one document until it returns; forget the document only then.",
        )
