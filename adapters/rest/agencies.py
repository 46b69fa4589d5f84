"""The directory: whom a document can go to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.message_json import Code
from adapters.rest.operations import Answer, Call, Operation, Query, Words, json_answer
from adapters.rest.shapes import AgencyJson, AgencyList
from adapters.rest.tokens import Scope
from adapters.sdk import NodeApi
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.errors import Rejected

_DIRECTORY: Final = Words("Danh bạ cơ quan", "Directory")


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
        code = AgencyCode.parse(call.request.match_info["code"])
        entry = await self._node.agency(code)
        if entry is None:
            raise Rejected("agency-unknown", f"No agency has the code {code}.", mend="Search the directory for it.")
        return json_answer(_agency(entry))


def _agency(entry: AgencyEntry) -> AgencyJson:
    return AgencyJson.model_validate(
        {
            "code": entry.code.value,
            "name": entry.name,
            "older_codes": tuple(code.value for code in entry.older_codes),
            "status": entry.status.value,
        }
    )
