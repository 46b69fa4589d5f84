"""Groups of recipients, kept by the operator; each change is one version of the signed directory (docs/adr/0012)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hub.store import agencies, audit_log, groups
from hub.store.audit_log import AuditEntry
from hub.store.metadata import Transaction
from hub.usecases.connections import require_name
from hub.usecases.directory import DirectoryPublisher
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import GroupEntry
from schemas.envelope import Selector, SelectorKind
from schemas.errors import Rejected
from schemas.recipients import group_name, recipient_text


@dataclass(frozen=True, slots=True)
class ChangedGroup:
    """A group as it stands after an order, and the version of the directory that says so; None if it stood so."""

    group: GroupEntry
    version: int | None


@dataclass(frozen=True, slots=True)
class GroupRegister:
    """The operator's hand on the groups. `actor` names the person in the audit log."""

    database: Database
    publisher: DirectoryPublisher
    clock: Clock

    async def add(
        self, name: str, title: str, members: Collection[AgencyCode | Selector], *, actor: str
    ) -> ChangedGroup:
        """Make a group of agencies and prefixes.

        Raises `selector-malformed` for its name, `name-malformed` for its title, `group-exists`, `group-empty`,
        `member-unknown`, `member-malformed`.
        """
        group_name(name)
        require_name(title)

        def work(transaction: Transaction) -> ChangedGroup:
            if groups.find(transaction, name) is not None:
                raise Rejected(
                    "group-exists",
                    f"There is a group {name} already.",
                    mend=f"`congvan hub group change {name} --add CODE` adds to it.",
                )
            if not members:
                raise Rejected("group-empty", "A group has members.", mend="Name some, as codes or as H23.*.")
            before = GroupEntry(group=name, title=title, members=())
            return self._change(transaction, before, _texts(transaction, members), (), actor=actor)

        return await self.database.write(work)

    async def change(
        self,
        name: str,
        *,
        add: Collection[AgencyCode | Selector],
        remove: Collection[AgencyCode | Selector],
        actor: str,
    ) -> ChangedGroup:
        """Add members to a group, and remove some. Raises `group-unknown`, `group-empty`, `member-unknown`,
        `member-malformed`."""

        def work(transaction: Transaction) -> ChangedGroup:
            before = existing_group(transaction, name)
            gone = {recipient_text(each) for each in remove}
            if foreign := sorted(gone.difference(before.members)):
                raise Rejected(
                    "member-unknown",
                    f"{foreign[0]} is no member of {name}.",
                    mend=f"`congvan hub group show {name}` lists them, as they are to be written.",
                )
            return self._change(transaction, before, _texts(transaction, add), gone, actor=actor)

        return await self.database.write(work)

    async def remove(self, name: str, *, actor: str) -> ChangedGroup:
        """Withdraw a group: nobody can write to it any more. Raises `group-unknown`."""

        def work(transaction: Transaction) -> ChangedGroup:
            before = existing_group(transaction, name)
            return self._change(transaction, before, (), before.members, actor=actor, withdraw=True)

        return await self.database.write(work)

    async def view(self, name: str) -> GroupEntry:
        """A group with its members. Raises `group-unknown`."""
        return await self.database.read(lambda transaction: existing_group(transaction, name))

    async def listing(self) -> list[GroupEntry]:
        """All groups, by name."""

        def question(transaction: Transaction) -> list[GroupEntry]:
            found = (groups.find(transaction, name) for name in groups.names(transaction))
            return [group for group in found if group is not None]

        return await self.database.read(question)

    def _change(
        self,
        transaction: Transaction,
        before: GroupEntry,
        added: Sequence[str],
        removed: Collection[str],
        *,
        actor: str,
        withdraw: bool = False,
    ) -> ChangedGroup:
        now = self.clock()
        new = sorted(set(added).difference(before.members))
        members = tuple(sorted({*before.members, *added}.difference(removed)))
        after = GroupEntry(group=before.group, title=before.title, members=members)
        if members == before.members:
            return ChangedGroup(after, None)
        if not members and not withdraw:
            raise Rejected(
                "group-empty",
                f"{before.group} would have no members.",
                mend=f"`congvan hub group remove {before.group}` withdraws it.",
            )
        groups.put(transaction, before.group, before.title, at=now)
        groups.remove_members(transaction, before.group, removed)
        groups.add_members(transaction, before.group, [member for member in new if member not in removed])
        version = self.publisher.publish(transaction, now, groups=(after,))
        detail = {"members": len(members), "added": new, "removed": sorted(removed), "version": version}
        audit_log.note(transaction, AuditEntry(now, actor, "group.changed", before.group, detail))
        return ChangedGroup(after, version)


def existing_group(transaction: Transaction, name: str) -> GroupEntry:
    """The group. Raises `group-unknown`."""
    found = groups.find(transaction, name)
    if found is None:
        raise Rejected("group-unknown", f"There is no group {name}.", mend="`congvan hub group list` shows them.")
    return found


def _texts(transaction: Transaction, members: Collection[AgencyCode | Selector]) -> list[str]:
    """The members as they are written. Raises `member-unknown`, `member-malformed`."""
    for member in members:
        if isinstance(member, Selector) and member.kind is SelectorKind.GROUP:
            raise Rejected(
                "member-malformed",
                f"{recipient_text(member)} is a group, and a group has no groups as members.",
                mend="Name its members.",
            )
    codes = [member.value for member in members if isinstance(member, AgencyCode)]
    known = agencies.resolve(transaction, codes)
    for code in codes:
        if code not in known:
            raise Rejected(
                "member-unknown",
                f"The directory does not know {code}.",
                mend="`congvan hub agency list --search …` finds agencies by name.",
            )
    return sorted({recipient_text(member) for member in members})
