"""Trust as it stood: stored seals and receipts are judged by the signed directory of their day.

The directory's versions are verified one by one and kept as changes, so that any of them can be asked. For audits: a
program at work looks only at the present.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Final, Generic, TypeVar

from cryptography import x509

from certs.keys import fingerprint, parse_certificate
from certs.receipts import ReceiptTrust, verify_receipt
from certs.signed_directory import AppliedVersion, VerifiedVersion, verify_version
from certs.trust import SignerBinding, Trust, TrustAnchor
from certs.unsealing import OpenedSeal
from certs.verified import Verified
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, AnchorEntry, ConnectionEntry, DirectoryVersion, EntryStatus
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import Rejected
from schemas.limits import DEFAULT_LIMITS, GIB, MIB
from schemas.receipts import Receipt, SignedReceipt

T = TypeVar("T")

#: What is stored was within the limits of its day, which may have been other ones than today's.
STORED_LIMITS: Final = replace(DEFAULT_LIMITS, envelope_bytes=GIB, text_bytes=64 * MIB, elements=10_000_000)

#: Codes, and versions, of which an answer is remembered.
_REMEMBERED: Final = 4096


@dataclass(slots=True)
class _Changes(Generic[T]):
    """What one key of the directory stood for, from which version on."""

    numbers: list[int] = field(default_factory=list)
    values: list[T] = field(default_factory=list)

    def put(self, number: int, value: T) -> None:
        self.numbers.append(number)
        self.values.append(value)

    def as_of(self, number: int) -> T | None:
        place = bisect_right(self.numbers, number)
        return self.values[place - 1] if place else None

    def since(self, number: int) -> Sequence[T]:
        """What held at `number` or at any version after it."""
        return self.values[max(0, bisect_right(self.numbers, number) - 1) :]


class HistoricTrust:
    """The directory's history, and what it says of seals and receipts. `authority` are the hub's roots."""

    def __init__(self, authority: Sequence[x509.Certificate]) -> None:
        self.head: AppliedVersion | None = None
        self._authority = tuple(authority)
        self._issued: list[tuple[datetime, int]] = []
        self._agencies: defaultdict[str, _Changes[AgencyEntry]] = defaultdict(_Changes)
        self._named_by: defaultdict[str, set[str]] = defaultdict(set)
        self._connections: defaultdict[str, _Changes[tuple[EntryStatus, frozenset[Sha256Hex]]]] = defaultdict(_Changes)
        self._anchors: defaultdict[bytes, _Changes[AnchorEntry]] = defaultdict(_Changes)
        self._binding = lru_cache(_REMEMBERED)(self._binding_as_of)
        self._signers = lru_cache(_REMEMBERED)(self._signers_since)
        self._anchors_of = lru_cache(_REMEMBERED)(self._anchors_as_of)

    def append(self, data: bytes, issued_at: datetime) -> None:
        """Take the next version, as the bytes that were signed.

        Raises what `certs.signed_directory.verify_version` does; then nothing of it is taken.
        """
        self.put(verify_version(data, self._authority, issued_at, after=self.head))

    def put(self, verified: VerifiedVersion) -> None:
        """Take a version that was verified, the next or a later one: of what stands between nothing is known."""
        self._put(verified.version)
        self._issued.append((verified.version.issued_at, verified.version.number))
        self.head = verified.applied

    def skip(self, number: int, digest: Sha256Hex) -> None:
        """Go on after a version that does not verify; what it brought is not believed."""
        self.head = AppliedVersion(number, digest)

    def number_at(self, at: datetime) -> int:
        """The version that was the newest at the time `at`; 0 before the first."""
        return max((number for issued_at, number in self._issued if issued_at <= at), default=0)

    def codes_of(self, code: AgencyCode) -> frozenset[str]:
        """Every code, today's or older, that at any time named the agency that `code` names."""
        names = {code.value, *self._named_by.get(code.value, ())}
        for name in tuple(names):
            for entry in self._agencies[name].values if name in self._agencies else ():
                names.update(older.value for older in entry.older_codes)
        return frozenset(names)

    def code_as_of(self, code: AgencyCode, version: int) -> AgencyCode | None:
        """The code that the agency of `code`, of that day or older, had at `version`; None for an unknown one."""
        entry = self._agency(code.value, version)
        return None if entry is None else entry.code

    def bind(self, opened: OpenedSeal, *, version: int, at: datetime) -> Verified[Envelope]:
        """The envelope, if by the directory of `version` its signer might speak for its sender at the time `at`.

        A judge asks for the signer a moment before it notes the version, so that the version before will do as well.
        Raises SealRejected as `OpenedSeal.bind`.
        """
        first: Rejected | None = None
        for number in (version, version - 1):
            try:
                return opened.bind(self._anchors_of(number), self._binding(opened.sender, number), at)
            except Rejected as error:
                first = first or error
        assert first is not None  # noqa: S101 - both versions were asked, and neither let it pass
        raise first

    def verify(self, signed: SignedReceipt, *, since: int, times: Sequence[datetime]) -> Verified[Receipt]:
        """The receipt, if its issuer signed it with a key that the directory named for it at `since` or later.

        A path must be valid at one of `times`: a hub judges by its own clock, a node by the time that the receipt
        names. Raises as `certs.receipts.verify_receipt`, for the last of them.
        """
        last = self.head.number if self.head else 0
        versions = range(max(since, 1), last + 1)
        anchors = self._anchors_of(last)
        if versions and versions[0] != last:
            anchors = tuple(dict.fromkeys((*self._anchors_of(versions[0]), *anchors)))
        trust = ReceiptTrust(self._authority, Trust(anchors, lambda code: self._signers(code, since)))
        *earlier, final = times
        for at in earlier:
            try:
                return verify_receipt(signed, trust, at)
            except Rejected:
                continue
        return verify_receipt(signed, trust, final)

    def verify_as_of(self, signed: SignedReceipt, versions: Collection[int], at: datetime) -> Verified[Receipt]:
        """The receipt, if its issuer signed it with a key that the directory named for it at one of `versions`.

        Raises as `certs.receipts.verify_receipt`.
        """

        def binding_of(code: AgencyCode) -> SignerBinding | None:
            known = [found for number in sorted(versions) if (found := self._binding(code, number)) is not None]
            fingerprints = frozenset[Sha256Hex]().union(*(binding.fingerprints for binding in known))
            return replace(known[-1], fingerprints=fingerprints) if known else None

        anchors = dict.fromkeys(anchor for number in versions for anchor in self._anchors_of(number))
        return verify_receipt(signed, ReceiptTrust(self._authority, Trust(tuple(anchors), binding_of)), at)

    def _put(self, version: DirectoryVersion) -> None:
        for agency in version.agencies:
            self._agencies[agency.code.value].put(version.number, agency)
            for older in agency.older_codes:
                self._named_by[older.value].add(agency.code.value)
        for connection in version.connections:
            self._connections[connection.connection].put(version.number, _signing(connection))
        for anchor in version.anchors:
            self._anchors[anchor.certificate].put(version.number, anchor)

    def _agency(self, code: str, version: int) -> AgencyEntry | None:
        for name in (code, *sorted(self._named_by.get(code, ()))):
            entry = self._agencies[name].as_of(version) if name in self._agencies else None
            if entry is not None and (name == code or any(older.value == code for older in entry.older_codes)):
                return entry
        return None

    def _binding_as_of(self, code: AgencyCode, version: int) -> SignerBinding | None:
        entry = self._agency(code.value, version)
        if entry is None:
            return None
        status, fingerprints = EntryStatus.SUSPENDED, frozenset[Sha256Hex]()
        if found := self._connections[entry.connection].as_of(version):
            status, fingerprints = found
        # As a node's copy has it: an agency is no more active than the connection that serves it.
        reach = entry.status if entry.status is not EntryStatus.ACTIVE else status
        return SignerBinding(entry.code, reach, fingerprints)

    def _signers_since(self, code: AgencyCode, version: int) -> SignerBinding | None:
        """Every certificate that might sign for an agency at `version` or later."""
        newest = self._agency(code.value, self.head.number if self.head else 0)
        if newest is None:
            return None
        connections = {entry.connection for entry in self._agencies[newest.code.value].since(version)}
        fingerprints = frozenset(
            name
            for connection in connections
            for _status, names in self._connections[connection].since(version)
            for name in names
        )
        return SignerBinding(newest.code, newest.status, fingerprints)

    def _anchors_as_of(self, version: int) -> tuple[TrustAnchor, ...]:
        found = (changes.as_of(version) for changes in self._anchors.values())
        return tuple(
            TrustAnchor(parse_certificate(entry.certificate), entry.prefixes)
            for entry in found
            if entry is not None and entry.prefixes
        )


def _signing(connection: ConnectionEntry) -> tuple[EntryStatus, frozenset[Sha256Hex]]:
    names = (fingerprint(parse_certificate(certificate)) for certificate in connection.seal_certificates)
    return connection.status, frozenset(names)
