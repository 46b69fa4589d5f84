"""The trust anchors of the directory, parsed once for each of its versions."""

from __future__ import annotations

from certs.trust import TrustAnchor
from hub.store import directory
from hub.store.metadata import Transaction


class Anchors:
    """Remembers the anchors of the newest version that it was asked for: each change of them makes a version."""

    def __init__(self) -> None:
        self._known: tuple[int, tuple[TrustAnchor, ...]] = (0, ())

    def of(self, transaction: Transaction, version: int) -> tuple[TrustAnchor, ...]:
        """The anchors as `transaction`, whose newest version is `version`, sees them."""
        known_version, known = self._known
        if version != known_version:
            known = directory.anchors(transaction)
            self._known = (version, known)
        return known
