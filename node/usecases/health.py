"""What a node is ready by: its parts, and how each is tried."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from adapters.guards.protocol import Guard
from adapters.sdk import Adapter
from node.store import contact
from node.store.records import HubContact
from node.usecases.queries import Queries
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from runtime.readiness import Trial, try_folder
from schemas.errors import Unavailable

#: Parts that lie outside: while they fail, the node still takes documents and keeps them, so it is ready all the same.
OUTSIDE: Final = frozenset({"hub", "directory", "clock"})

ADAPTER_PREFIX: Final = "adapter-"
GUARD_PREFIX: Final = "guard-"


def is_needed(part: str) -> bool:
    """Whether the node can do nothing while `part` fails."""
    return part not in OUTSIDE and not part.startswith((ADAPTER_PREFIX, GUARD_PREFIX))


def require_clock(contact: HubContact, tolerance: float) -> None:
    """Pass if this machine's clock and the hub's agreed when the hub was last met; else `clock-differs`.

    Nothing is refused for it; but times in receipts are wrong, and what is due comes late or early.
    """
    ahead = contact.clock_ahead
    if ahead is not None and abs(ahead) > tolerance:
        side = "ahead of" if ahead > 0 else "behind"
        raise Unavailable(
            "clock-differs",
            f"This machine's clock is {timedelta(seconds=round(abs(ahead)))} {side} the hub's.",
            mend="Correct it, or tell the hub's operator if it is right: NTP on every machine.",
        )


def expiries(tls: x509.Certificate, seal: x509.Certificate) -> dict[str, datetime]:
    """When the node's certificates expire, by what they are for."""
    return {"tls": tls.not_valid_after_utc, "seal": seal.not_valid_after_utc}


def trials_of(
    database: Database,
    blobs: BlobStore,
    data_folder: Path,
    *,
    certificates: Mapping[str, datetime],
    queries: Queries,
    adapters: Mapping[str, Adapter],
    guards: Mapping[str, Guard],
    clock: Clock,
    clock_tolerance: float,
) -> dict[str, Trial]:
    """Its parts: record, disk, certificates, adapters, guards; the hub, the directory's copy, the clock.

    `clock_tolerance` is by how many seconds this clock and the hub's may differ.
    """

    async def read() -> None:
        await database.read(contact.last_contact)

    async def write() -> None:
        # It changes nothing, and has to take the lock that every write takes.
        await database.write(contact.last_contact)

    async def folder() -> None:
        await try_folder(data_folder)

    async def valid_certificates() -> None:
        expired = [use for use, expiry in certificates.items() if expiry <= clock()]
        if expired:
            raise Unavailable("certificate-expired", f"Expired: {', '.join(expired)}.", mend="Enrol anew.")

    async def hub() -> None:
        seen = (await queries.status()).contact
        if seen.unreachable_since is not None:
            why = seen.trouble.text if seen.trouble else "no answer"
            raise Unavailable("hub-unreachable", f"Unreachable since {seen.unreachable_since:%Y-%m-%d %H:%M}: {why}")

    async def directory() -> None:
        copy = (await queries.status()).directory
        if copy.expires_at is None or copy.expires_at <= clock():
            raise Unavailable("directory-expired", "The copy of the directory has expired, or has not come yet.")

    async def same_time() -> None:
        require_clock((await queries.status()).contact, clock_tolerance)

    def wellness(of: Adapter | Guard, rule: str) -> Trial:
        async def ask() -> None:
            health = await of.health()
            if not health.ok:
                raise Unavailable(rule, health.detail)

        return ask

    return {
        "database-read": read,
        "database-write": write,
        "folder": folder,
        "blobs": blobs.probe,
        "certificates": valid_certificates,
        "hub": hub,
        "directory": directory,
        "clock": same_time,
        **{ADAPTER_PREFIX + name: wellness(one, "adapter-unwell") for name, one in adapters.items()},
        **{GUARD_PREFIX + name: wellness(one, "guard-unwell") for name, one in guards.items()},
    }
