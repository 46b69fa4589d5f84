"""What a node is ready by: its parts, and how each is tried."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from adapters.sdk import Adapter
from node.store import contact
from node.usecases.queries import Queries
from runtime.clock import Clock
from runtime.database import Database
from runtime.readiness import Trial, try_folder
from schemas.errors import Unavailable

#: Parts that lie outside: while they fail, the node still takes documents and keeps them, so it is ready all the same.
OUTSIDE: Final = frozenset({"hub", "directory"})

ADAPTER_PREFIX: Final = "adapter-"


def is_needed(part: str) -> bool:
    """Whether the node can do nothing while `part` fails."""
    return part not in OUTSIDE and not part.startswith(ADAPTER_PREFIX)


def expiries(tls: x509.Certificate, seal: x509.Certificate) -> dict[str, datetime]:
    """When the node's certificates expire, by what they are for."""
    return {"tls": tls.not_valid_after_utc, "seal": seal.not_valid_after_utc}


def trials_of(
    database: Database,
    data_folder: Path,
    *,
    certificates: Mapping[str, datetime],
    queries: Queries,
    adapters: Mapping[str, Adapter],
    clock: Clock,
) -> dict[str, Trial]:
    """The parts of a node: its record, its disk, its certificates, its adapters; the hub and the directory's copy."""

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

    def adapter(one: Adapter) -> Trial:
        async def ask() -> None:
            health = await one.health()
            if not health.ok:
                raise Unavailable("adapter-unwell", health.detail)

        return ask

    return {
        "database-read": read,
        "database-write": write,
        "folder": folder,
        "certificates": valid_certificates,
        "hub": hub,
        "directory": directory,
        **{ADAPTER_PREFIX + name: adapter(one) for name, one in adapters.items()},
    }
