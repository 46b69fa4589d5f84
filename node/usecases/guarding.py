"""Guards: what every message passes before it is sealed, and before it is handed to the agency's software.

They are asked one after the other; the first that does not let a message pass ends the round. One that fails, hangs or
is down lets nothing pass: the message waits. A round changes nothing, so that a crash in it costs the round alone; what
it came to is kept with the message, in the transaction that queues it or records the hand-over.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from adapters.guards.protocol import Guard, GuardedAttachment, GuardedMessage, Passes, Refuses, Verdict, Waits, Way
from adapters.pdf_signatures import PdfSignature
from adapters.sdk import Delivery, Later, Outcome, Refused, Submission
from node.store.verdicts import GuardVerdict, VerdictKind
from node.usecases.attachments import Attachments, KeptAttachment
from runtime.clock import Clock
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.limits import MIB
from schemas.reasons import plain_reason

log = structlog.get_logger()

#: Bytes of attachments for which a guard has one second more.
_BYTES_A_SECOND: Final = 1 * MIB


@dataclass(frozen=True, slots=True)
class Post:
    """A guard where it stands: its name in the settings, the ways it watches, how many seconds it may take."""

    name: str
    guard: Guard
    ways: frozenset[Way]
    timeout: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What a round came to: every verdict, in order, and the one that stopped the message, if one did."""

    verdicts: tuple[GuardVerdict, ...]
    stopped: Refuses | Waits | None
    signatures: Mapping[Sha256Hex, tuple[PdfSignature, ...]]


class Guards:
    """The guards of a node, in the order in which they are asked."""

    def __init__(self, posts: Sequence[Post], attachments: Attachments, clock: Clock) -> None:
        self.posts = tuple(posts)
        self._attachments = attachments
        self._clock = clock
        self._down: set[str] = set()
        self._counts: Counter[tuple[str, Way, VerdictKind]] = Counter()

    @property
    def counts(self) -> Mapping[tuple[str, Way, VerdictKind], int]:
        """How many verdicts of each kind each guard has come to, by its name and the way, in this process."""
        return self._counts

    async def outgoing(self, submission: Submission, kept: Sequence[KeptAttachment]) -> tuple[GuardVerdict, ...]:
        """The verdicts on what is handed in, whose attachments the node has as `kept`.

        Raises Rejected, with the rule of the guard that refuses, or Unavailable, with that of the one that waits.
        """
        message = GuardedMessage(
            way=Way.OUTGOING,
            message=submission.message,
            attachments=tuple(
                GuardedAttachment(
                    name=attachment.name,
                    content_type=attachment.content_type,
                    digest=mine.digest,
                    size=mine.size,
                    open=partial(self._attachments.open_kept, mine),
                )
                for attachment, mine in zip(submission.attachments, kept, strict=True)
            ),
            override=submission.override,
        )
        judged = await self._judge(message, {"key": submission.key, "sender": str(submission.message.sender.organ_id)})
        match judged.stopped:
            case Refuses(code, reason):
                raise Rejected(code, reason, mend=_mend(judged))
            case Waits(code, reason):
                raise Unavailable(code, reason, mend="Hand it in again later: nothing was sent.")
            case None:
                return judged.verdicts

    async def incoming(self, delivery: Delivery) -> tuple[Delivery, Judged]:
        """The delivery with what the guards found in it, and what they came to."""
        message = GuardedMessage(
            way=Way.INCOMING,
            message=delivery.message,
            attachments=tuple(
                GuardedAttachment(
                    name=attachment.name,
                    content_type=attachment.content_type,
                    digest=attachment.digest,
                    size=attachment.size,
                    open=partial(self._attachments.open, attachment.digest),
                )
                for attachment in delivery.attachments
            ),
            recipient=delivery.key.recipient,
            override=delivery.override,
        )
        judged = await self._judge(
            message, {"message": delivery.key.message_id, "recipient": str(delivery.key.recipient)}
        )
        return with_signatures(delivery, judged.signatures), judged

    async def _judge(self, message: GuardedMessage, where: Mapping[str, str]) -> Judged:
        verdicts: list[GuardVerdict] = []
        signatures: dict[Sha256Hex, tuple[PdfSignature, ...]] = {}
        for post in self.posts:
            if message.way not in post.ways:
                continue
            verdict = await self._verdict(post, message)
            self._watch(post, verdict)
            kind, code, reason = _said(verdict)
            self._counts[post.name, message.way, kind] += 1
            found = {} if isinstance(verdict, Waits) else verdict.signatures
            signatures |= found
            verdicts.append(
                GuardVerdict(
                    guard=post.name, verdict=kind, at=self._clock(), code=code, reason=reason, signatures=found
                )
            )
            if isinstance(verdict, Passes):
                if verdict.note:
                    log.info("guard.noted", guard=post.name, way=message.way, reason=verdict.note, **where)
                continue
            event = "guard.refused" if isinstance(verdict, Refuses) else "guard.waits"
            log.warning(event, guard=post.name, way=message.way, rule=code, reason=reason, **where)
            return Judged(tuple(verdicts), verdict, signatures)
        return Judged(tuple(verdicts), None, signatures)

    async def _verdict(self, post: Post, message: GuardedMessage) -> Verdict:
        patience = post.timeout + sum(attachment.size for attachment in message.attachments) / _BYTES_A_SECOND
        try:
            async with asyncio.timeout(patience):
                return await post.guard.judge(message)
        except TimeoutError:
            return Waits("guard-slow", f"The guard {post.name} did not answer within {patience:.0f} seconds.")
        except CongvanError as error:
            return Waits(error.code, error.message)
        except Exception as error:
            # Foreign code: whatever it raises, nothing is let through.
            log.exception("guard.failed", guard=post.name)
            return Waits("guard-failed", f"The guard {post.name} failed: {type(error).__name__}: {error}")

    def _watch(self, post: Post, verdict: Verdict) -> None:
        """One alert when a guard ceases to judge, and one when it is back."""
        is_down = isinstance(verdict, Waits)
        if is_down == (post.name in self._down):
            return
        if isinstance(verdict, Waits):
            self._down.add(post.name)
            log.error("guard.down", guard=post.name, rule=verdict.code, reason=verdict.reason)
        else:
            self._down.discard(post.name)
            log.info("guard.up", guard=post.name)


def with_signatures(delivery: Delivery, signatures: Mapping[Sha256Hex, tuple[PdfSignature, ...]]) -> Delivery:
    """The delivery, its attachments with the signatures that were found in them."""
    if not signatures:
        return delivery
    attachments = tuple(
        replace(attachment, signatures=signatures.get(attachment.digest, ())) for attachment in delivery.attachments
    )
    return replace(delivery, attachments=attachments)


def outcome_of(stopped: Refuses | Waits) -> Outcome:
    """What a guard's word is to a hand-over: the adapter is not asked."""
    if isinstance(stopped, Refuses):
        return Refused(stopped.reason)
    return Later(stopped.reason, seconds=stopped.seconds)


def _said(verdict: Verdict) -> tuple[VerdictKind, str | None, str | None]:
    match verdict:
        case Passes(note):
            return VerdictKind.PASSED, None, plain_reason(note) if note else None
        case Refuses(code, reason):
            return VerdictKind.REFUSED, code, plain_reason(reason)
        case Waits(code, reason):
            return VerdictKind.WAITS, code, plain_reason(reason)


def _mend(judged: Judged) -> str:
    return f"The guard {judged.verdicts[-1].guard} refuses it: docs/guards.md says what it lets pass."
