"""The agency directory as signed versions tell it: what it said of an agency at any version, and at any time.

A container may hold every version, whose chain of digests then shows that none is missing; or, where that would be
long, those alone that speak of the agencies concerned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final, TypeVar

from cryptography import x509

from certs.keys import fingerprint, parse_certificate
from certs.signed_directory import VerifiedVersion, version_in
from certs.trust import SignerBinding, Trust, TrustAnchor
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, AnchorEntry, ConnectionEntry, DirectoryVersion, EntryStatus
from schemas.envelope import Sha256Hex
from schemas.limits import MIB

E = TypeVar("E")

#: A directory up to this size goes whole into a container: then its chain shows that no version was left out.
WHOLE_BYTES: Final = 4 * MIB


class DirectoryHistory:
    """What `versions` (in any order) say, version by version."""

    def __init__(self, versions: Sequence[DirectoryVersion]) -> None:
        self._versions = sorted(versions, key=lambda version: version.number)
        self._agencies: defaultdict[AgencyCode, list[tuple[int, AgencyEntry]]] = defaultdict(list)
        self._renamed: defaultdict[AgencyCode, list[AgencyCode]] = defaultdict(list)
        self._connections: defaultdict[str, list[tuple[int, ConnectionEntry]]] = defaultdict(list)
        self._anchors: defaultdict[bytes, list[tuple[int, AnchorEntry]]] = defaultdict(list)
        for version in self._versions:
            for agency in version.agencies:
                self._agencies[agency.code].append((version.number, agency))
                for older in agency.older_codes:
                    self._renamed[older].append(agency.code)
            for connection in version.connections:
                self._connections[connection.connection].append((version.number, connection))
            for anchor in version.anchors:
                self._anchors[anchor.certificate].append((version.number, anchor))

    @property
    def newest(self) -> int:
        """The number of the newest version, 0 if there is none."""
        return self._versions[-1].number if self._versions else 0

    def number_at(self, at: datetime) -> int:
        """The version that was the newest at the time `at`; 0 before the first."""
        return max((version.number for version in self._versions if version.issued_at <= at), default=0)

    def agency(self, code: AgencyCode, number: int) -> AgencyEntry | None:
        """The entry of a code, of today or older, as of version `number`."""
        found = _as_of(self._agencies.get(code, ()), number)
        if found is not None:
            return found
        for current in self._renamed.get(code, ()):
            entry = _as_of(self._agencies[current], number)
            if entry is not None and code in entry.older_codes:
                return entry
        return None

    def binding(self, code: AgencyCode, number: int) -> SignerBinding | None:
        """Which certificates may sign for `code` as of version `number`; an agency is no more active than its node."""
        agency = self.agency(code, number)
        if agency is None:
            return None
        connection = _as_of(self._connections.get(agency.connection, ()), number)
        served = connection is not None and connection.status is EntryStatus.ACTIVE
        status = agency.status if served or agency.status is not EntryStatus.ACTIVE else EntryStatus.SUSPENDED
        certificates = connection.seal_certificates if connection else ()
        return SignerBinding(
            agency.code, status, frozenset(fingerprint(parse_certificate(der)) for der in certificates)
        )

    def anchors(self, number: int) -> tuple[TrustAnchor, ...]:
        """The trust anchors as of version `number`."""
        entries = (_as_of(entries, number) for entries in self._anchors.values())
        return tuple(
            TrustAnchor(parse_certificate(entry.certificate), entry.prefixes)
            for entry in entries
            if entry is not None and entry.prefixes
        )

    def trust(self, numbers: Collection[int]) -> Trust:
        """Who may sign as of any of these versions: keys are replaced, and clocks of agencies differ from the hub's."""

        def binding_of(code: AgencyCode) -> SignerBinding | None:
            known = [found for number in sorted(numbers) if (found := self.binding(code, number)) is not None]
            fingerprints = frozenset[Sha256Hex]().union(*(binding.fingerprints for binding in known))
            return SignerBinding(known[-1].code, known[-1].status, fingerprints) if known else None

        return Trust(tuple(dict.fromkeys(anchor for number in numbers for anchor in self.anchors(number))), binding_of)

    def seal_certificates(self) -> dict[str, x509.Certificate]:
        """Every certificate that ever might seal, and every anchor, by fingerprint."""
        found = [
            der for entries in self._connections.values() for _, entry in entries for der in entry.seal_certificates
        ]
        parsed = map(parse_certificate, [*found, *self._anchors])
        return {fingerprint(certificate): certificate for certificate in parsed}


def is_complete(versions: Sequence[VerifiedVersion]) -> bool:
    """Whether `versions`, in order, are all from the first on, each naming the digest of the one before."""
    numbered = all(one.version.number == number for number, one in enumerate(versions, 1))
    chained = all(after.version.previous == before.digest for before, after in pairwise(versions))
    return bool(versions) and numbered and chained


def versions_for(read: Callable[[], Iterable[bytes]], size: int, codes: Collection[AgencyCode]) -> list[bytes]:
    """Of the signed versions that `read` gives, `size` bytes in all, those that a container about `codes` takes.

    All of them, unless they are long; then those that say who may sign for `codes`, with all anchors. `read` may be
    called twice: which connection serves an agency may be said after what the connection is.
    """
    if size <= WHOLE_BYTES:
        return list(read())
    wanted = set(codes)
    connections: set[str] = set()
    for data in read():
        for agency in version_in(data).agencies:
            if _names(agency, wanted):
                wanted.add(agency.code)
                connections.add(agency.connection)
    return [data for data in read() if _speaks_of(version_in(data), wanted, connections)]


def _speaks_of(version: DirectoryVersion, codes: Collection[AgencyCode], connections: Collection[str]) -> bool:
    return (
        bool(version.anchors)
        or any(_names(agency, codes) for agency in version.agencies)
        or any(connection.connection in connections for connection in version.connections)
    )


def _names(agency: AgencyEntry, codes: Collection[AgencyCode]) -> bool:
    return agency.code in codes or any(older in codes for older in agency.older_codes)


def _as_of(entries: Iterable[tuple[int, E]], number: int) -> E | None:
    held = None
    for since, entry in entries:
        if since <= number:
            held = entry
    return held
