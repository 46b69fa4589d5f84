"""The directory as one snapshot shows it: what was asked for one message is known for the next ones."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from certs.trust import SignerBinding
from hub.store import agencies, directory
from hub.store.agencies import ResolvedAgency
from hub.store.metadata import Transaction


class DirectoryView:
    """Remembers answers for as long as `transaction` lasts: within it none of them can change."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self._agencies: dict[str, ResolvedAgency | None] = {}
        self._bindings: dict[str, SignerBinding] = {}

    @cached_property
    def version(self) -> int:
        """The number of the newest version, 0 before the first."""
        return directory.directory_version(self.transaction)

    def resolve(self, codes: Iterable[str]) -> dict[str, ResolvedAgency]:
        """As `agencies.resolve`."""
        wanted = list(codes)
        asked = [code for code in wanted if code not in self._agencies]
        if asked:
            found = agencies.resolve(self.transaction, asked)
            self._agencies.update((code, found.get(code)) for code in asked)
        return {code: agency for code in wanted if (agency := self._agencies[code]) is not None}

    def signer_binding_of(self, agency: ResolvedAgency) -> SignerBinding:
        """As `agencies.signer_binding_of`."""
        binding = self._bindings.get(agency.code)
        if binding is None:
            binding = self._bindings[agency.code] = agencies.signer_binding_of(self.transaction, agency)
        return binding
