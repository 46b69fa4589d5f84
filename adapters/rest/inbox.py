"""Receiving as DMS integrators know it: look, lock, fetch, confirm. What is not confirmed stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.message_json import Code, DocumentCodeJson
from adapters.rest.operations import Answer, Call, Operation, Query, Words, json_answer
from adapters.rest.shapes import (
    Confirmed,
    ConfirmRequest,
    KeyJson,
    LockJson,
    LockRequest,
    UnlockRequest,
    WaitingCount,
    WaitingJson,
    WaitingList,
)
from adapters.rest.tokens import Scope
from adapters.sdk import Accepted, DeliveryKey, MessageKind, Never, NodeApi, Refused, Settlement, Waiting
from schemas.codes import AgencyCode
from schemas.errors import Rejected

RECEIVING: Final = Words("Nhận văn bản", "Receiving")
MESSAGE_PATH: Final = "/v1/inbox/{message_id}/{recipient}"


class InboxQuery(Query):
    kind: MessageKind | None = None
    """Only documents, or only statuses."""
    recipient: Annotated[tuple[Code, ...], Field(max_length=1000)] = ()
    """Only what is for these agencies of the node. Give it once for each."""
    parked: bool = False
    """What the software could not take as well."""
    unlocked: bool = False
    """Only what nobody has locked."""
    after: Annotated[str, Field(max_length=200)] = ""
    """Go on behind a list: its `next`."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Inbox:
    """What awaits the software. `longest_lock` is in seconds."""

    def __init__(self, node: NodeApi, *, longest_lock: int) -> None:
        self._node = node
        self._longest = longest_lock

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="listInbox",
                method="GET",
                path="/v1/inbox",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Danh sách chờ nhận", "What waits, the most urgent first"),
                query=InboxQuery,
                answers={200: Answer(words=Words("Danh sách", "The list"), shape=WaitingList)},
                problems=(422,),
                run=self.list,
            ),
            Operation(
                name="countInbox",
                method="GET",
                path="/v1/inbox/count",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Số lượng chờ nhận", "How many wait"),
                answers={200: Answer(words=Words("Số lượng", "The counts"), shape=WaitingCount)},
                run=self.count,
            ),
            Operation(
                name="lockMessages",
                method="POST",
                path="/v1/inbox/lock",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Giữ chỗ để xử lý", "Lock messages, so that no other worker takes them"),
                detail="With `messages`, those of them that nobody else has locked; without, the first `limit` that "
                "are free. A lock lapses by itself and keeps nobody from reading.",
                body=LockRequest,
                answers={200: Answer(words=Words("Đã giữ", "What is locked"), shape=LockJson)},
                problems=(413, 415, 422),
                run=self.lock,
            ),
            Operation(
                name="unlockMessages",
                method="POST",
                path="/v1/inbox/unlock",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Bỏ giữ chỗ", "Let go of locked messages"),
                body=UnlockRequest,
                answers={200: Answer(words=Words("Đã bỏ", "They are free"), shape=LockJson)},
                problems=(413, 415, 422),
                run=self.unlock,
            ),
            Operation(
                name="confirmMessage",
                method="POST",
                path=f"{MESSAGE_PATH}/confirm",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Xác nhận kết quả nhận", "Say what became of a message"),
                detail="Commit the message with its key (message id and recipient) in your software first, then "
                "confirm: what is confirmed comes no more, what is not stays. The same again changes nothing.",
                body=ConfirmRequest,
                answers={200: Answer(words=Words("Đã xác nhận", "It is done with"), shape=Confirmed)},
                problems=(404, 409, 413, 415, 422),
                run=self.confirm,
            ),
        )

    async def list(self, call: Call) -> web.Response:
        query = call.query(InboxQuery)
        recipients = self._recipients(call, query.recipient)
        found: Sequence[Waiting] = ()
        if recipients:
            found = await self._node.waiting(
                recipients=recipients,
                kind=query.kind,
                parked=query.parked,
                unlocked=query.unlocked,
                after=query.after,
                limit=query.limit,
            )
        following = found[-1].cursor if len(found) == query.limit else None
        return json_answer(WaitingList(messages=tuple(map(_waiting, found)), next=following))

    async def count(self, call: Call) -> web.Response:
        recipients = self._recipients(call, ())
        counts = [
            await self._node.count_waiting(recipients=recipients, kind=kind) if recipients else 0
            for kind in (MessageKind.DOCUMENT, MessageKind.STATUS)
        ]
        return json_answer(WaitingCount(documents=counts[0], statuses=counts[1]))

    async def lock(self, call: Call) -> web.Response:
        wanted = await call.body(LockRequest)
        if wanted.seconds > self._longest:
            raise Rejected(
                "lock-too-long", f"A lock holds {self._longest} seconds at most.", element="seconds", mend="Renew it."
            )
        if wanted.messages:
            keys = [key for key in map(_key, wanted.messages) if call.grant.covers(key.recipient)]
        else:
            recipients = self._recipients(call, wanted.recipients)
            found = (
                await self._node.waiting(recipients=recipients, kind=wanted.kind, unlocked=True, limit=wanted.limit)
                if recipients
                else ()
            )
            keys = [waiting.key for waiting in found]
        if not keys:
            return json_answer(LockJson(messages=()))
        lock = await self._node.lock(keys, seconds=wanted.seconds, renew=wanted.renew)
        if not lock.keys:
            return json_answer(LockJson(messages=()))
        return json_answer(LockJson(lock=lock.token, until=lock.until, messages=tuple(map(_named, lock.keys))))

    async def unlock(self, call: Call) -> web.Response:
        wanted = await call.body(UnlockRequest)
        keys = [key for key in map(_key, wanted.messages) if call.grant.covers(key.recipient)]
        await self._node.unlock(keys, lock=wanted.lock)
        return json_answer(LockJson(messages=()))

    async def confirm(self, call: Call) -> web.Response:
        key = delivery_key(call)
        said = await call.body(ConfirmRequest)
        await self._node.settle(key, _settlement(said), lock=said.lock)
        return json_answer(Confirmed(message_id=key.message_id, recipient=key.recipient.value, outcome=said.outcome))

    def _recipients(self, call: Call, asked: Sequence[str]) -> Sequence[AgencyCode]:
        """Those of the agencies `asked` for, or of all, that the bearer may receive for; none means none."""
        return call.grant.covered(tuple(map(AgencyCode.parse, asked)) or tuple(self._node.served_codes))


def delivery_key(call: Call) -> DeliveryKey:
    """The key in the path; one that is not the bearer's is as unknown as one that does not exist."""
    key = DeliveryKey(call.message_id(), AgencyCode.parse(call.request.match_info["recipient"]))
    if not call.grant.covers(key.recipient):
        raise delivery_unknown(key)
    return key


def delivery_unknown(key: DeliveryKey) -> Rejected:
    return Rejected(
        "delivery-unknown",
        f"No message {key.message_id} for {key.recipient} awaits this software.",
        mend="See what does: GET /v1/inbox",
    )


def _settlement(said: ConfirmRequest) -> Settlement:
    if said.outcome == "accepted":
        return Accepted()
    if said.reason is None:
        raise Rejected(
            "reason-missing",
            f"What is {said.outcome} needs a reason.",
            element="reason",
            mend="Say in one sentence why, for people.",
        )
    return Refused(said.reason) if said.outcome == "refused" else Never(said.reason)


def _key(written: KeyJson) -> DeliveryKey:
    return DeliveryKey(written.message_id, AgencyCode.parse(written.recipient))


def _named(key: DeliveryKey) -> KeyJson:
    return KeyJson(message_id=key.message_id, recipient=key.recipient.value)


def _waiting(waiting: Waiting) -> WaitingJson:
    return WaitingJson.model_validate(
        {
            "message_id": waiting.key.message_id,
            "recipient": waiting.key.recipient.value,
            "kind": waiting.kind,
            "from": waiting.sender.value,
            "from_name": waiting.sender_name,
            "document_id": waiting.document_id,
            "code": DocumentCodeJson(number=waiting.code.number, notation=waiting.code.notation)
            if waiting.code
            else None,
            "subject": waiting.subject,
            "business": waiting.business.name.lower() if waiting.business is not None else None,
            "status": waiting.status,
            "priority": int(waiting.priority),
            "about": waiting.about,
            "received_at": waiting.received_at,
            "locked_until": waiting.locked_until,
            "parked": waiting.parked,
        }
    )
