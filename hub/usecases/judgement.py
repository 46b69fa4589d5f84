"""Judging an envelope before anything is stored: its seal, who sealed it, what it says, whom it goes to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from certs.trust import SignerBinding, TrustAnchor
from certs.unsealing import OpenedSeal, claimed_identity, known_seal, open_seal
from certs.verified import Verified
from hub.store import agencies, messages
from hub.store.directory_view import DirectoryView
from hub.store.messages import StoredAcceptance
from hub.store.metadata import Transaction
from hub.store.submissions import SubmissionKey
from hub.usecases.about import Speaker
from hub.usecases.anchors import Anchors
from hub.usecases.policy import require_admissible
from hub.usecases.routing import Route, route
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Envelope
from schemas.errors import CongvanError, LimitExceeded, Rejected, Unavailable
from schemas.limits import KIB, Limits

_SENDER: Final = "MessageHeader/From/OrganId"

#: Envelopes of so many bytes in all are opened in passing, if they are written as we write them: one that is short.
_SHORT: Final = 16 * KIB

#: For so many recipients, and messages spoken of, in all the store is asked in passing.
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class Judged:
    """An envelope that may enter, once its attachments are there. `sender` is the agency's code of today."""

    key: SubmissionKey
    envelope: Verified[Envelope]
    sender: str
    route: Route


@dataclass(frozen=True, slots=True)
class Repeated:
    """An envelope that was accepted before, and what was answered then."""

    key: SubmissionKey
    acceptance: StoredAcceptance


@dataclass(frozen=True, slots=True)
class Refused:
    """An envelope with an identity, and the rule that it breaks.

    `is_served`: the connection serves the agency in From, so that it is owed the hub's signed word.
    """

    key: SubmissionKey
    reason: Rejected
    is_served: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes that are no sealed envelope, though they name a sender that the connection serves.

    `key` is what they say of themselves: nothing vouches for it, but no accepted message has that id.
    """

    key: SubmissionKey
    reason: Rejected


#: What becomes of an envelope.
Verdict: TypeAlias = Judged | Repeated | Refused | Broken


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the hub knows of a sender (its code of today, if it has another), and of the message, if it was accepted."""

    sender: str
    connection: str | None
    binding: SignerBinding | None
    anchors: tuple[TrustAnchor, ...]
    acceptance: StoredAcceptance | None


class Judge:
    """Judges envelopes by the directory as it stands at that moment."""

    def __init__(self, database: Database, anchors: Anchors, *, limits: Limits, clock: Clock) -> None:
        self._database = database
        self._anchors = anchors
        self._limits = limits
        self._clock = clock

    async def judge(self, connection: str, data: bytes) -> Verdict:
        """What becomes of the envelope `data`, submitted by `connection`.

        Raises:
            Rejected: `data` is no sealed envelope at all, or of a sender that the connection does not serve.
        """
        # 1. The seal holds: from here on the message has an identity.
        opened = await asyncio.to_thread(self._opened, data)
        if isinstance(opened, Rejected):
            return await self._broken(connection, data, opened)
        # All that the store has to say is asked in one snapshot.
        return await self._database.read(lambda asking: self._judged(connection, opened, DirectoryView(asking)))

    async def judge_all(self, connection: str, envelopes: Sequence[bytes]) -> list[Verdict | Exception]:
        """The same of several envelopes that came together, in their order; what `judge` would raise stands instead.

        One hop to a thread at most, and one snapshot, for all of them. Raises Unavailable if the store cannot be asked.
        """
        try:
            return await self._judged_together(connection, envelopes)
        except CongvanError:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours over one of them: it shows by itself, and is that one's alone
            return [await self._judged_alone(connection, data) for data in envelopes]

    async def _judged_alone(self, connection: str, data: bytes) -> Verdict | Exception:
        try:
            return await self.judge(connection, data)
        except Exception as error:  # noqa: BLE001 - it is told as the answer to this one, and logged there
            return error

    async def _judged_together(self, connection: str, envelopes: Sequence[bytes]) -> list[Verdict | Exception]:
        opened = await self._opened_together(envelopes)
        ask = self._database.glance if _is_light(opened) else self._database.read
        found = await ask(partial(self._verdicts, connection, opened))
        verdicts: list[Verdict | Exception] = []
        for data, faulty, verdict in zip(envelopes, opened, found, strict=True):
            if isinstance(faulty, Rejected):
                verdicts.append(await self._broken_or(connection, data, faulty))
            else:
                verdicts.append(verdict)
        return verdicts

    async def _opened_together(self, envelopes: Sequence[bytes]) -> Sequence[OpenedSeal | Rejected]:
        if sum(map(len, envelopes)) <= _SHORT:
            known = [known_seal(data, self._limits) for data in envelopes]
            if None not in known:
                return [each for each in known if each is not None]
        # What the parser has to judge, whoever sent it, takes as long as a refusal in words does: not the event loop's.
        return await asyncio.to_thread(lambda: [self._opened(data) for data in envelopes])

    def _verdicts(
        self, connection: str, opened: Sequence[OpenedSeal | Rejected], transaction: Transaction
    ) -> list[Verdict | CongvanError]:
        view = DirectoryView(transaction)
        return [each if isinstance(each, Rejected) else self._verdict(connection, each, view) for each in opened]

    def _verdict(self, connection: str, opened: OpenedSeal, view: DirectoryView) -> Verdict | CongvanError:
        try:
            return self._judged(connection, opened, view)
        except CongvanError as error:
            return error

    async def _broken_or(self, connection: str, data: bytes, reason: Rejected) -> Broken | CongvanError:
        try:
            return await self._broken(connection, data, reason)
        except CongvanError as error:
            return error

    def _judged(self, connection: str, opened: OpenedSeal, view: DirectoryView) -> Judged | Repeated | Refused:
        key = SubmissionKey(connection, opened.sender.value, opened.message_id)
        # 2. The connection serves the sender; nobody else learns anything of the message.
        standing = self._standing(opened, view)
        if standing.connection not in (None, connection):
            raise Rejected(
                "sender-not-served",
                f"This connection does not serve {opened.sender}.",
                element=_SENDER,
                mend="Submit it through the node that serves the agency.",
            )
        # 3. An accepted message is answered as before, whatever has changed since.
        is_served = standing.connection == connection
        if standing.acceptance is not None and is_served:
            return Repeated(key, standing.acceptance)
        now = self._clock()
        # 4. The signer may speak for the sender, now.
        try:
            envelope = opened.bind(standing.anchors, standing.binding, now)
        except Rejected as error:
            if error.code == "seal-certificate-not-yet-valid":
                # The authority dates no certificate ahead: a clock is wrong, here or where it was made. That passes.
                raise Unavailable(error.code, error.message, mend="Check the hub's clock.") from error
            error.element = error.element or _SENDER
            return Refused(key, error, is_served)
        try:
            # 5. It may enter, and it is known whom it goes to.
            require_admissible(envelope.value, self._limits, now)
            speaker = Speaker(standing.sender, connection)
            found = route(view, envelope.value, speaker, recipients=self._limits.recipients)
        except Rejected as error:
            return Refused(key, error, is_served)
        return Judged(key, envelope, standing.sender, found)

    async def _broken(self, connection: str, data: bytes, reason: Rejected) -> Broken:
        """What to say of bytes that do not open.

        Raises `reason` if they name nobody whom `connection` serves, or a message that was accepted: the hub's word
        for a refusal would stand against its own acceptance, on nothing but what the bytes say of themselves.
        """
        claimed = await asyncio.to_thread(claimed_identity, data, self._limits)
        if claimed is None:
            raise reason
        key = SubmissionKey(connection, claimed.sender.value, claimed.message_id)
        if not await self._database.read(partial(_may_be_refused, key)):
            raise reason
        return Broken(key, reason)

    def _opened(self, data: bytes) -> OpenedSeal | Rejected:
        """Work for a thread."""
        try:
            return open_seal(data, self._limits)
        except Rejected as error:
            return too_large(self._limits.envelope_bytes) if error.code == "message-too-large" else error

    def _standing(self, opened: OpenedSeal, view: DirectoryView) -> _Standing:
        code = opened.sender.value
        agency = view.resolve([code]).get(code)
        return _Standing(
            agency.code if agency else code,
            agency.connection if agency else None,
            view.signer_binding_of(agency) if agency else None,
            self._anchors.of(view.transaction, view.version),
            messages.acceptance(view.transaction, opened.message_id, code),
        )


def _is_light(opened: Sequence[OpenedSeal | Rejected]) -> bool:
    """Whether the store is asked for so few agencies and messages that it takes no millisecond."""
    counts = [each.named for each in opened if isinstance(each, OpenedSeal)]
    return None not in counts and sum(count or 0 for count in counts) <= _FEW


def _may_be_refused(claimed: SubmissionKey, transaction: Transaction) -> bool:
    """Whether the connection serves the sender that is claimed, and the hub accepted no message of that id."""
    agency = agencies.resolve(transaction, [claimed.from_code]).get(claimed.from_code)
    if agency is None or agency.connection != claimed.connection:
        return False
    return not messages.known(transaction, [claimed.message_id])


def too_large(limit: int) -> LimitExceeded:
    """The refusal of an envelope above the hub's limit, whoever finds it so."""
    return LimitExceeded(
        "envelope-too-large",
        f"The envelope has more than {limit} bytes, which is all that this hub takes.",
        mend="Send long content as an attachment.",
    )
