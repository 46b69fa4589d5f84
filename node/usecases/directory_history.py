"""Where the history of a restored hub's directory and this node's copy of it part (docs/adr/0004)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from cryptography import x509

from certs.signed_directory import AppliedVersion, verify_version, version_digest
from node.store import directory as directory_store
from runtime.clock import Clock
from runtime.database import Database
from schemas.errors import Rejected
from transport.client import HubClient


class HubHistory:
    """The versions that a hub offers, compared with those applied here by their digests."""

    def __init__(self, database: Database, hub: HubClient, authority: Sequence[x509.Certificate], clock: Clock) -> None:
        self._database = database
        self._hub = hub
        self._authority = authority
        self._clock = clock

    async def shared_with(self, head: AppliedVersion, *, latest: int) -> int | None:
        """The number of the newest version that both histories have; None while the hub's is only shorter.

        Each version names the digest of the one before, so both are the same up to one number and differ from there:
        it is found by halves. To part, the hub must show a version after the last shared one that its directory's key
        signed: with that, what came after it here is void; without it, nothing is.

        Raises DirectoryRejected (`directory-fork` and those of `verify_version`).
        """
        low, high = 0, min(head.number, latest)
        while low < high:
            middle = (low + high + 1) // 2
            if await self._is_shared(middle):
                low = middle
            else:
                high = middle - 1
        if low == head.number:
            return low
        if not low:
            raise Rejected(
                "directory-fork",
                "The hub's directory has nothing in common with the copy here.",
                mend="It is another hub, or was made anew: ask its operator.",
            )
        if low == latest:
            return None
        return await self._parted_after(low)

    async def _is_shared(self, number: int) -> bool:
        here = await self._database.read(partial(directory_store.applied, number=number))
        offered = (await self._hub.directory(since=number - 1)).versions
        return here is not None and bool(offered) and await asyncio.to_thread(version_digest, offered[0]) == here.digest

    async def _parted_after(self, number: int) -> int | None:
        here = await self._database.read(partial(directory_store.applied, number=number))
        offered = (await self._hub.directory(since=number)).versions
        if not offered:
            return None
        await asyncio.to_thread(verify_version, offered[0], self._authority, self._clock(), after=here)
        return number
