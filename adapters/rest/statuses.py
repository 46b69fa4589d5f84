"""What an agency says of a document: received, refused, in processing, finished, a recall agreed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from adapters.rest.operations import Answer, Call, Operation, Words, json_answer
from adapters.rest.shapes import StatusRequest, Submission
from adapters.rest.tokens import Scope
from adapters.sdk import DeliveryKey, NodeApi, StatusReport
from schemas.codes import AgencyCode
from schemas.message import StaffInfo, StatusCode

_STATUSES: Final = Words("Trạng thái", "Statuses")


class Statuses:
    def __init__(self, node: NodeApi) -> None:
        self._node = node

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="reportStatus",
                method="POST",
                path="/v1/statuses",
                tag=_STATUSES,
                scope=Scope.STATUS,
                words=Words("Báo trạng thái xử lý văn bản", "Report a status of a document"),
                detail="02 từ chối / refused, 03 đã tiếp nhận / accepted, 04 phân công / assigned, 05 đang xử lý / in "
                "processing, 06 hoàn thành / finished, 13 lấy lại / taken back, 15 đồng ý and 16 từ chối / a recall or "
                "update agreed to or refused. 01 goes by itself.",
                body=StatusRequest,
                keyed=True,
                answers={
                    201: Answer(words=Words("Sẽ gửi", "It is on its way"), shape=Submission),
                    200: Answer(words=Words("Đã báo từ trước", "It was said before"), shape=Submission),
                },
                problems=(404, 409, 410, 413, 415, 422),
                run=self.report,
            ),
        )

    async def report(self, call: Call) -> web.Response:
        key = call.key
        said = await call.body(StatusRequest)
        agency = call.granted(AgencyCode.parse(said.agency))
        submitted = await self._node.report(
            StatusReport(
                key=key,
                delivery=DeliveryKey(said.message_id, agency),
                status=StatusCode(said.status),
                reason=said.reason,
                staff=StaffInfo(**said.staff.model_dump()) if said.staff else None,
            )
        )
        answer = Submission(message_id=submitted.message_id, repeated=submitted.repeated)
        return json_answer(answer, status=200 if submitted.repeated else 201)
