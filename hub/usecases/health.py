"""What a hub is ready by: its parts, and how each is tried."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from hub.store import directory, state
from hub.usecases.authority import HubKeys
from runtime.agreed_clock import AgreedClock
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from runtime.readiness import Trial, try_folder
from schemas.errors import Unavailable

#: The part that a hub works without, slower.
BROKER: Final = "broker"
#: The part without which another process leads; nothing else suffers unless the clock is wrong by much.
CLOCK: Final = "clock"


def is_needed(part: str, clock: AgreedClock) -> bool:
    """Whether the hub can do nothing while `part` fails."""
    return part != BROKER and not (part == CLOCK and clock.serves)


def trial_of_clock(clock: AgreedClock) -> Trial:
    """Whether what ends by the clock may end."""

    async def compare() -> None:
        await clock.now()

    return compare


def trials_of(database: Database, blobs: BlobStore, data_folder: Path, keys: HubKeys, clock: Clock) -> dict[str, Trial]:
    """The parts of a hub: database, folder, store of attachments, keys, and the directory's newest version."""

    async def read() -> None:
        await database.read(state.epoch)

    async def write() -> None:
        now = clock()
        await database.write(lambda transaction: state.probe(transaction, now))

    async def folder() -> None:
        await try_folder(data_folder)

    async def certificates() -> None:
        now = clock()
        expired = [validity.use for validity in keys.validities() if validity.not_after <= now]
        if expired:
            raise Unavailable(
                "certificate-expired", f"Expired: {', '.join(expired)}.", mend="Restart the hub: it renews its own."
            )

    async def newest_version() -> None:
        head = await database.read(directory.head)
        if head is None or head.expires_at <= clock():
            raise Unavailable("directory-expired", "The newest version of the directory has expired.")

    return {
        "database-read": read,
        "database-write": write,
        "folder": folder,
        "blobs": blobs.probe,
        "certificates": certificates,
        "directory": newest_version,
    }


def expiring(keys: HubKeys, clock: Clock, *, within: timedelta) -> list[str]:
    """What of the hub's certificates expires soon, as `use at date`, for the log."""
    limit = clock() + within
    return [
        f"{validity.use} at {validity.not_after:%Y-%m-%d}"
        for validity in keys.validities()
        if validity.not_after <= limit
    ]
