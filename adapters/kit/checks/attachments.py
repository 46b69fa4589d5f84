"""Attachments that are empty, huge, or called what a hostile sender calls them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.kit.ledger import Ledger
from adapters.kit.memory import memory_rise
from adapters.kit.messages import Case
from adapters.kit.stage import Answer, Stage, answered
from adapters.sdk import Accepted, Awaiting, Never, Refused
from schemas.limits import MIB

#: An adapter that streams keeps a few chunks; one that does not, keeps all of them.
_RISE: Final = 64 * MIB
_SHARE: Final = 4


async def empty(stage: Stage, ledger: Ledger) -> None:
    async with stage.opened() as adapter:
        case = stage.repertoire.empty()
        ledger.tried()
        await _require_accepted(stage, ledger, case, await stage.hand_over(adapter, case))


async def huge(stage: Stage, ledger: Ledger) -> None:
    async with stage.opened() as adapter:
        # What is imported and opened at the first message is not the attachment's.
        await stage.hand_over(adapter, stage.repertoire.ordinary())
        case = stage.repertoire.enormous()
        size = stage.repertoire.huge
        ledger.tried()
        with memory_rise() as rise:
            answer = await stage.hand_over(adapter, case)
        most = min(_RISE, size // _SHARE)
        if rise.bytes is None:
            ledger.could_not_see("how far memory rises: this system does not tell")
        elif rise.bytes > most:
            ledger.broke(
                done=f"Delivered {case.title}.",
                expected=f"Memory rises by less than {most // MIB} MiB.",
                happened=f"It rose by {rise.bytes // MIB} MiB.",
                mend="Write each chunk of NodeApi.open_attachment as it comes; do not join them.",
            )
        await _require_accepted(stage, ledger, case, answer)


async def names(stage: Stage, ledger: Ledger) -> None:
    async with stage.opened() as adapter:
        for case in (stage.repertoire.hostile(), stage.repertoire.unwritable()):
            ledger.tried()
            before = set(_everything(stage.repertoire.folder))
            answer = await stage.hand_over(adapter, case)
            _require_inside(stage, ledger, case, before)
            if isinstance(answer, Never | Refused) and answer.reason:
                ledger.could_not_see(f"{case.title}: {answered(answer)}")
                continue
            await _require_accepted(stage, ledger, case, answer)
            _require_harmless(stage, ledger, case)


async def _require_accepted(stage: Stage, ledger: Ledger, case: Case, answer: Answer) -> None:
    done = f"Delivered {case.title}."
    if isinstance(answer, Accepted):
        await stage.require_shown(ledger, case, done)
    elif stage.probe is None and isinstance(answer, Awaiting):
        ledger.could_not_see("what is fetched: there is no probe that fetches")
    else:
        ledger.broke(
            done=done,
            expected="It is handed over.",
            happened=answered(answer),
            mend="Take every attachment that the type allows; where the software cannot, say Never with the reason.",
        )


def _everything(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        yield from (str(Path(root, name)) for name in (*folders, *files))


def _own(stage: Stage) -> tuple[Path, Path]:
    return stage.folder, stage.folder.parent / "software"


def _require_inside(stage: Stage, ledger: Ledger, case: Case, before: set[str]) -> None:
    """The adapter's folder, and the probe's, lie deep in the check's own: what climbs out of them lands there."""
    own = [str(folder) for folder in (*_own(stage), stage.folder.parent / "node")]
    outside = [path for path in _everything(stage.repertoire.folder) if path not in before]
    outside = [path for path in outside if not any(path == one or path.startswith(f"{one}/") for one in own)]
    if outside:
        ledger.broke(
            done=f"Delivered {case.title}.",
            expected="Nothing is written outside of the adapter's folder and the software's.",
            happened=f"It wrote {', '.join(map(ascii, outside[:3]))}.",
            mend="Give each file a name of your own: schemas.names.safe_name makes one from the sender's.",
        )


def _require_harmless(stage: Stage, ledger: Ledger, case: Case) -> None:
    """No name on the disk turns text around, hides, or commands a terminal. In a database a name is but a value."""
    on_disk = [Path(path).name for own in _own(stage) for path in _everything(own)]
    bad = [name for name in on_disk if not _is_harmless(name)]
    if bad:
        ledger.broke(
            done=f"Delivered {case.title}.",
            expected="No file has a name with a control character, or one that turns text around.",
            happened=f"There are {', '.join(map(ascii, bad[:3]))}.",
            mend="Give each file a name of your own: schemas.names.safe_name makes one from the sender's.",
        )


def _is_harmless(name: str) -> bool:
    return not any(unicodedata.category(letter) in ("Cc", "Cf") for letter in name)
