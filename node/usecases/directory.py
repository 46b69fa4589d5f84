"""The node's copy of the signed directory: kept up to date, asked for codes and for trust."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from cryptography import x509

from certs.signed_directory import AppliedVersion, VerifiedVersion, verify_version
from certs.trust import SignerBinding, TrustAnchor
from node.store import agency_search, directory_changes, standing
from node.store import directory as directory_store
from node.store.directory import Standing
from node.store.metadata import Transaction
from node.usecases.directory_history import HubHistory
from node.usecases.identity import NodeIdentity
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.errors import Rejected, Unavailable
from transport.client import HubClient

log = structlog.get_logger()

#: Codes that are looked through for one like a mistyped code.
_NEAR: Final = 5000
_PAGE: Final = 1000
#: Versions of which the anchors are remembered, and agencies (as of a version): a mailbox holds messages of a few.
_REMEMBERED_VERSIONS: Final = 16
_REMEMBERED_AGENCIES: Final = 1024


class DirectoryCopy:
    """Reads and extends the copy. `load` it once before use; `served_codes` then follows every version applied here."""

    def __init__(self, database: Database, identity: NodeIdentity, clock: Clock) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self._served: Sequence[AgencyCode] = identity.enrolled_codes
        self._version = 0
        self._head: AppliedVersion | None = None
        #: The newest version, and since when it is that. Threads read both at once.
        self._newest: tuple[int, datetime | None] = (0, None)
        self._epoch: str | None = None
        self._anchors: dict[int, tuple[TrustAnchor, ...]] = {}
        self._standings: dict[tuple[AgencyCode, int], Standing | None] = {}
        self._syncing = asyncio.Lock()

    async def load(self) -> None:
        """Take what the database holds as the present state."""

        def present(
            transaction: Transaction,
        ) -> tuple[AppliedVersion | None, datetime | None, str | None, tuple[AgencyCode, ...]]:
            head, since = directory_store.head(transaction), directory_store.newest_since(transaction)
            served = directory_store.served_codes(transaction, self._identity.connection)
            return head, since, standing.of_hub(transaction).directory_epoch, served

        head, since, epoch, served = await self._database.read(present)
        # First what memory is held to, then the memory, then the number by which it is asked: threads look on.
        self._head = head
        if epoch != self._epoch:
            # Another process may have gone back to another history, where the same numbers are of other versions.
            self._forget()
        self._epoch, self._version = epoch, head.number if head else 0
        self._newest = (self._version, since)
        self._served = served if self._version else self._identity.enrolled_codes

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        """The active agencies that this node serves; before the first version, those it enrolled for."""
        return self._served

    @property
    def version(self) -> int:
        """The number of the newest version here; 0 before the first."""
        return self._version

    def agrees_with(self, epoch: str) -> bool:
        """Whether the copy was compared with the directory of the hub as it is in `epoch`."""
        return self._epoch == epoch

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        """The entry of a code, today's or an older one."""
        return await self._database.read(lambda transaction: directory_store.agency(transaction, code))

    async def agencies(self, text: str, *, under: AgencyCode | None, after: str, limit: int) -> tuple[AgencyEntry, ...]:
        """A page of the agencies that are not retired; see `adapters.sdk.NodeApi.agencies`."""
        look = partial(agency_search.page, text=text, under=under, after=after, limit=min(limit, _PAGE))
        return tuple(await self._database.read(look))

    def served(self, transaction: Transaction, code: AgencyCode) -> AgencyEntry:
        """The entry of an agency that this node serves, by its code of today or an older one.

        Raises Rejected (`sender-not-served`). Before the first version has come, ask `require_version`.
        """
        standing = self.standing_now(transaction, code)
        if standing is None or standing.agency.code not in self._served:
            served = ", ".join(str(own) for own in self._served[:20]) or "no agency"
            raise Rejected(
                "sender-not-served",
                f"This node does not serve {code}.",
                element="MessageHeader/From/OrganId",
                mend=f"Send from an agency that it serves: {served}.",
            )
        return standing.agency

    async def near(self, code: AgencyCode) -> AgencyCode | None:
        """A code of the directory that looks like `code`; None if none does."""
        candidates = await self._database.read(
            lambda transaction: directory_store.codes_near(transaction, code, limit=_NEAR)
        )
        names = [candidate.value for candidate in candidates]
        found = await asyncio.to_thread(difflib.get_close_matches, code.value, names, n=1, cutoff=0.6)
        return AgencyCode(found[0]) if found else None

    async def require_version(self) -> None:
        """Pass if there is a version of the directory; else Unavailable (`directory-missing`)."""
        if not self._version:
            await self.load()
        if not self._version:
            raise Unavailable(
                "directory-missing",
                "The agency directory has not come from the hub yet.",
                mend="Start `congvan node serve`, which fetches it; then try again.",
            )

    # Trust, for who verifies seals and receipts

    def anchors(self, transaction: Transaction, version: int) -> tuple[TrustAnchor, ...]:
        """The trust anchors as of `version`."""
        remembered = self._anchors
        found = remembered.get(version)
        if found is None:
            found = tuple(
                TrustAnchor(x509.load_der_x509_certificate(entry.certificate), entry.prefixes)
                for entry in directory_store.anchors(transaction, version)
            )
            if self._is_known_to(transaction, version):
                _forget_one(remembered, _REMEMBERED_VERSIONS)
                remembered[version] = found
        return found

    def standing(self, transaction: Transaction, code: AgencyCode, version: int) -> Standing | None:
        """What the directory says of a code as of `version`; what a version says never changes, so it is remembered."""
        remembered = self._standings
        try:
            return remembered[code, version]
        except KeyError:
            found = directory_store.standing(transaction, code, version)
        if self._is_known_to(transaction, version):
            _forget_one(remembered, _REMEMBERED_AGENCIES)
            remembered[code, version] = found
        return found

    def _is_known_to(self, transaction: Transaction, version: int) -> bool:
        """Whether `transaction` sees `version`, in the history that is held here: what it says may be remembered.

        A snapshot that began before the newest version was applied sees what was before, whatever it is asked for; one
        that began before the copy went back sees versions that are void.
        """
        head = self._head
        return head is not None and version <= head.number and directory_store.applied(transaction, head.number) == head

    def _forget(self) -> None:
        # New ones: whoever looks something up in a thread at this moment adds it to the old ones.
        self._anchors, self._standings = {}, {}

    def standing_now(self, transaction: Transaction, code: AgencyCode) -> Standing | None:
        """What the newest version here says of a code; one that it does not know may be in one that came just now."""
        return self.standing(transaction, code, self._version) or directory_store.standing(transaction, code)

    def remembered(self, code: AgencyCode, at: datetime) -> tuple[Standing | None, tuple[TrustAnchor, ...]] | None:
        """What the newest version says of a code, and its anchors, if it was the newest at the time `at` already.

        None if it was not, or nobody has asked that yet: then the database knows.
        """
        version, since = self._newest
        anchors = self._anchors.get(version)
        if since is None or at < since or anchors is None:
            return None
        try:
            return self._standings[code, version], anchors
        except KeyError:
            return None

    # Synchronisation

    async def sync(self, hub: HubClient) -> int:
        """Fetch, verify and apply what is new, version by version; gives the number of the version held then.

        Raises DirectoryRejected if a version must not be applied, Unavailable if the hub cannot be asked.
        """
        async with self._syncing:
            await self.load()
            while await self._apply_next(hub):
                await self.load()
            return self._version

    async def warn_if_expired(self) -> None:
        """Say in the log that the copy is older than its signer meant it to be; it is used all the same."""
        expires_at = await self._database.read(directory_store.expiry)
        if expires_at is not None and expires_at <= self._clock():
            log.warning("directory.expired", version=self._version, expires_at=expires_at)

    async def _follow_epoch(self, hub: HubClient, epoch: str, head: AppliedVersion | None, *, latest: int) -> bool:
        """In a new epoch of the hub, go back to where its history and this copy's part, if they do.

        False if nothing is known to have changed. Raises DirectoryRejected (`directory-fork`) if the two have nothing
        in common (docs/adr/0004).
        """
        if head is not None:
            history = HubHistory(self._database, hub, self._identity.hub_authority, self._clock)
            shared = await history.shared_with(head, latest=latest)
            if shared is None:
                # Nothing contradicts what is here. That the hub has fewer versions is no reason to forget some.
                return False
            if shared < head.number:
                log.error("directory.rewound", version=head.number, shared=shared, epoch=epoch)
                await self._database.write(partial(directory_changes.rewind, to=shared))
                self._head, self._version, self._newest = None, shared, (shared, None)
                self._forget()
        await self._database.write(partial(standing.agree_on_directory, epoch=epoch))
        return True

    async def _apply_next(self, hub: HubClient) -> bool:
        """Apply what one answer brings; False if nothing is missing."""
        here = await self._database.read(directory_store.head)
        number = here.number if here else 0
        answer = await hub.directory(since=number)
        if answer.epoch not in (None, self._epoch) and await self._follow_epoch(
            hub, answer.epoch, here, latest=answer.latest
        ):
            return True
        if answer.latest < number:
            log.error("directory.behind", hub_version=answer.latest, version=number)
            return False
        if answer.latest == number:
            return False
        if not answer.versions:
            raise Unavailable("hub-answer", f"The hub speaks of version {answer.latest} and gives none after {number}.")
        for data in answer.versions:
            verified = await asyncio.to_thread(self._verified, data, here)
            await self._database.write(partial(directory_changes.apply, verified=verified, at=self._clock()))
            here = verified.applied
            log.info("directory.applied", version=here.number, digest=here.digest)
        return True

    def _verified(self, data: bytes, after: AppliedVersion | None) -> VerifiedVersion:
        return verify_version(data, self._identity.hub_authority, self._clock(), after=after)


def binding_of(standing: Standing) -> SignerBinding:
    """What the directory says of an agency's signers."""
    return SignerBinding(standing.agency.code, standing.status, frozenset(standing.certificates))


def _forget_one(remembered: dict[Any, Any], most: int) -> None:
    """Make room for one more. Readers' threads share the dictionary: what one has forgotten already is no fault."""
    if len(remembered) >= most:
        with contextlib.suppress(StopIteration, RuntimeError):
            remembered.pop(next(iter(remembered)), None)
