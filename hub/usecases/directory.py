"""The signed directory: each change is one version, signed in the transaction of the change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from certs.sealing_key import SealingKey
from certs.signed_directory import sign_version, version_digest
from hub.store import directory as versions
from hub.store import state
from hub.store.directory import VersionHead
from hub.store.metadata import Transaction
from runtime.clock import CertainClock
from runtime.database import Database
from schemas.directory import NO_PREVIOUS, AgencyEntry, AnchorEntry, ConnectionEntry, DirectoryVersion, GroupEntry
from schemas.limits import MIB
from transport.wire import DirectoryAnswer

#: One answer holds this many versions at most, and ends with the one that fills this many bytes.
ANSWER_VERSIONS: Final = 500
ANSWER_BYTES: Final = 4 * MIB


@dataclass(frozen=True, slots=True)
class PreparedVersion:
    """A version that is signed, with the bytes to store; it counts once it is appended."""

    version: DirectoryVersion
    document: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DirectoryPublisher:
    """Signs versions. Numbers are given inside the write transaction, so they stand in commit order without a gap."""

    key: SealingKey
    valid_for: timedelta

    def publish(
        self,
        transaction: Transaction,
        now: datetime,
        *,
        agencies: tuple[AgencyEntry, ...] = (),
        connections: tuple[ConnectionEntry, ...] = (),
        anchors: tuple[AnchorEntry, ...] = (),
        groups: tuple[GroupEntry, ...] = (),
    ) -> int:
        """Append the version that holds these entries; gives its number."""
        prepared = self.prepare(
            versions.head(transaction),
            now,
            agencies=agencies,
            connections=connections,
            anchors=anchors,
            groups=groups,
        )
        self.append(transaction, prepared)
        return prepared.version.number

    def prepare(
        self,
        head: VersionHead | None,
        now: datetime,
        *,
        agencies: tuple[AgencyEntry, ...] = (),
        connections: tuple[ConnectionEntry, ...] = (),
        anchors: tuple[AnchorEntry, ...] = (),
        groups: tuple[GroupEntry, ...] = (),
    ) -> PreparedVersion:
        """The version that would follow on `head`, signed. With 100,000 entries that takes seconds."""
        version = DirectoryVersion(
            number=head.number + 1 if head else 1,
            previous=head.digest if head else NO_PREVIOUS,
            issued_at=now,
            expires_at=now + self.valid_for,
            agencies=agencies,
            connections=connections,
            anchors=anchors,
            groups=groups,
        )
        return PreparedVersion(version, sign_version(version, self.key))

    def append(self, transaction: Transaction, prepared: PreparedVersion) -> None:
        """Append what was prepared. The caller has seen that the head is still the one that it follows on."""
        version = prepared.version
        versions.append(
            transaction,
            version.number,
            digest=version_digest(prepared.document),
            document=prepared.document,
            issued_at=version.issued_at,
            expires_at=version.expires_at,
        )


@dataclass(frozen=True, slots=True)
class DirectoryRenewal:
    """Keeps the newest version from expiring: when less than `margin` is left of it, an empty one follows."""

    database: Database
    publisher: DirectoryPublisher
    margin: timedelta
    clock: CertainClock

    async def renew_if_due(self) -> int | None:
        """The number of the version that was published, None if none was due."""
        now = await self.clock()

        def renew(transaction: Transaction) -> int | None:
            head = versions.head(transaction)
            if head is not None and head.expires_at - now > self.margin:
                return None
            return self.publisher.publish(transaction, now)

        # Asked first without the write lock: nearly always nothing is due.
        head = await self.database.read(versions.head)
        if head is not None and head.expires_at - now > self.margin:
            return None
        return await self.database.write(renew)


async def directory_after(database: Database, number: int) -> DirectoryAnswer:
    """The signed versions after `number`, perhaps not all, and the number of the newest, from one snapshot."""
    return await database.read(
        lambda transaction: DirectoryAnswer(
            latest=versions.directory_version(transaction),
            epoch=state.epoch(transaction),
            versions=versions.versions_after(transaction, number, count=ANSWER_VERSIONS, size=ANSWER_BYTES),
        )
    )
