"""The directory: whom a document can go to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.message_json import Code
from adapters.rest.operations import Answer, Call, Operation, Query, Words, json_answer
from adapters.rest.shapes import AgencyJson, AgencyList, UnitJson, UnitRequest
from adapters.rest.tokens import Scope
from adapters.sdk import DeclaredUnit, NodeApi, UnitStanding
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.errors import Rejected

_DIRECTORY: Final = Words("Danh bạ cơ quan", "Directory")
_STANDINGS: Final = {
    200: Answer(words=Words("Đã thực hiện", "It is done"), shape=UnitJson),
    202: Answer(words=Words("Chờ duyệt", "The hub's operator decides; ask again to see"), shape=UnitJson),
}
_UNIT_PROBLEMS: Final = (404, 413, 415, 422)


class AgencyQuery(Query):
    query: Annotated[str, Field(max_length=200)] = ""
    """The beginning of a code, or words of a name, with or without marks: `hai duong`."""
    under: Code | None = None
    """Only this agency and those below it."""
    after: Annotated[str, Field(max_length=35)] = ""
    """Go on behind a list: its `next`."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Agencies:
    def __init__(self, node: NodeApi) -> None:
        self._node = node

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="listAgencies",
                method="GET",
                path="/v1/agencies",
                tag=_DIRECTORY,
                scope=Scope.DIRECTORY,
                words=Words("Tìm cơ quan", "Search agencies"),
                query=AgencyQuery,
                answers={200: Answer(words=Words("Danh sách", "The list"), shape=AgencyList)},
                problems=(422,),
                run=self.list,
            ),
            Operation(
                name="getAgency",
                method="GET",
                path="/v1/agencies/{code}",
                tag=_DIRECTORY,
                scope=Scope.DIRECTORY,
                words=Words("Một cơ quan theo mã, mới hoặc cũ", "An agency by its code, new or old"),
                answers={200: Answer(words=Words("Cơ quan", "The agency"), shape=AgencyJson)},
                problems=(404, 422),
                run=self.one,
            ),
            Operation(
                name="declareUnit",
                method="PUT",
                path="/v1/agencies/{code}",
                tag=_DIRECTORY,
                scope=Scope.UNITS,
                words=Words("Khai báo đơn vị trực thuộc", "Declare a unit below an agency of the node, or rename it"),
                detail="By the hub's rules: at once, after its operator's approval, or not at all.",
                body=UnitRequest,
                answers=_STANDINGS,
                problems=_UNIT_PROBLEMS,
                run=self.declare,
            ),
            Operation(
                name="retireUnit",
                method="DELETE",
                path="/v1/agencies/{code}",
                tag=_DIRECTORY,
                scope=Scope.UNITS,
                words=Words("Hủy đơn vị trực thuộc", "Retire a unit, for good"),
                answers=_STANDINGS,
                problems=_UNIT_PROBLEMS,
                run=self.retire,
            ),
        )

    async def list(self, call: Call) -> web.Response:
        query = call.query(AgencyQuery)
        found = await self._node.agencies(
            query.query,
            under=AgencyCode.parse(query.under) if query.under else None,
            after=query.after,
            limit=query.limit,
        )
        following = found[-1].code.value if len(found) == query.limit else None
        return json_answer(AgencyList(agencies=tuple(map(_agency, found)), next=following))

    async def one(self, call: Call) -> web.Response:
        code = _code(call)
        entry = await self._node.agency(code)
        if entry is None:
            raise Rejected("agency-unknown", f"No agency has the code {code}.", mend="Search the directory for it.")
        return json_answer(_agency(entry))

    async def declare(self, call: Call) -> web.Response:
        code = call.granted(_code(call))
        wanted = await call.body(UnitRequest)
        unit = DeclaredUnit(code=code, name=wanted.name, mail=wanted.mail, phone=wanted.phone)
        return _standing(code, await self._node.declare(unit))

    async def retire(self, call: Call) -> web.Response:
        code = call.granted(_code(call))
        return _standing(code, await self._node.retire(code))


def _code(call: Call) -> AgencyCode:
    return AgencyCode.parse(call.request.match_info["code"])


def _standing(code: AgencyCode, standing: UnitStanding) -> web.Response:
    status = 200 if standing is UnitStanding.DONE else 202
    return json_answer(UnitJson(code=code.value, standing=standing), status=status)


def _agency(entry: AgencyEntry) -> AgencyJson:
    return AgencyJson.model_validate(
        {
            "code": entry.code.value,
            "name": entry.name,
            "older_codes": tuple(code.value for code in entry.older_codes),
            "status": entry.status.value,
        }
    )
