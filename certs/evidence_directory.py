"""The agency directory in a container: every version, or those that speak of the agencies concerned.

The chain of digests in every version shows that none is missing; an excerpt shows only what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from typing import Final

from certs.keys import fingerprint, parse_certificate
from certs.signed_directory import VerifiedVersion, version_in
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, DirectoryVersion
from schemas.envelope import Sha256Hex
from schemas.limits import MIB

#: A directory up to this size goes whole into a container: then its chain shows that no version was left out.
WHOLE_BYTES: Final = 4 * MIB


def agency_names(versions: Iterable[DirectoryVersion]) -> dict[AgencyCode, str]:
    """What agencies are called, by their codes of today and older; the newest names, `versions` being in order."""
    return {
        code: agency.name
        for version in versions
        for agency in version.agencies
        for code in (*agency.older_codes, agency.code)
    }


def certificates_named(versions: Iterable[DirectoryVersion]) -> set[Sha256Hex]:
    """Every certificate that ever might seal, and every anchor, by fingerprint."""
    found: set[bytes] = set()
    for version in versions:
        found.update(anchor.certificate for anchor in version.anchors)
        found.update(der for connection in version.connections for der in connection.seal_certificates)
    return {fingerprint(parse_certificate(der)) for der in found}


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
