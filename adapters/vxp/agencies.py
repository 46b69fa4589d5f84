"""The agency directory in three shapes, and units below the node's own agencies: declared and retired."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, TypeAlias

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.sdk import DeclaredUnit, NodeApi, UnitStanding
from adapters.vxp.answers import answered, encoded, success
from adapters.vxp.bodies import Bodies
from adapters.vxp.calls import Call, Handler
from adapters.vxp.limits import Gate
from adapters.vxp.systems import System
from schemas.codes import AgencyCode, CodeForm
from schemas.directory import AgencyEntry, EntryStatus
from schemas.errors import Rejected, Unavailable
from schemas.limits import KIB

log = structlog.get_logger()

#: A row of a list, None for an agency that does not belong in it.
Row: TypeAlias = Callable[[AgencyEntry], Mapping[str, object] | None]

_PAGE: Final = 1000
#: An agency's data are a few lines.
_BODY_LIMIT: Final = 64 * KIB

#: What stands between the rows, to cut the answer's frame apart.
_MARK: Final = "rows-stand-here"


class Agencies:
    """Lists stream, page by page: a national directory has a hundred thousand rows."""

    def __init__(self, node: NodeApi, bodies: Bodies, gate: Gate, *, silence_seconds: float) -> None:
        self._node = node
        self._bodies = bodies
        self._gate = gate
        self._silence = silence_seconds

    async def everyone(self, call: Call) -> web.StreamResponse:
        """getAgenciesList."""
        return await self._list(call, _row)

    async def by_level(self, call: Call) -> web.StreamResponse:
        """getAgenciesListQD20: codes of today's form, of one `level` if it is given."""
        text = call.parameters.find("level") or ""
        if text and not (text.isascii() and text.isdecimal()):
            raise Rejected("level-malformed", f"{text[:60]!r} is no level.", mend="Give 1, 2, 3 …, or none for all.")

        def row(entry: AgencyEntry) -> Mapping[str, object] | None:
            if entry.code.form is not CodeForm.QD20 or (text and entry.code.level != int(text)):
                return None
            return _row_qd20(entry)

        return await self._list(call, row)

    async def for_synchronising(self, call: Call) -> web.StreamResponse:
        """getSynchronizeUnit."""
        return await self._list(call, _row_synchronised)

    async def register(self, call: Call) -> web.Response:
        """registerAgency: declare a unit below an agency that the system acts for.

        Raises Rejected: `unit-unreadable`, `unit-not-yours`, and what `NodeApi.declare` raises.
        """
        body = await self._bodies.whole(call.request, limit=_BODY_LIMIT)
        try:
            written = _WrittenUnit.model_validate_json(body.decode("utf-8-sig").strip())
        except (ValidationError, UnicodeDecodeError) as error:
            raise Rejected(
                "unit-unreadable",
                "The body is no JSON object with the texts code and name.",
                mend='Send {"code": "H23.99", "name": "…", "mail": "…"} in UTF-8.',
            ) from error
        code = AgencyCode.parse(written.code.strip())
        _require_own_unit(code, call.system)
        unit = DeclaredUnit(code=code, name=written.name, mail=written.mail or "", phone=written.mobile or "")
        async with self._gate.in_time():
            standing = await self._node.declare(unit)
        log.info("vxp.unit-declared", system=call.system.system_id, code=str(code), standing=standing.value)
        return _of(standing)

    async def delete(self, call: Call) -> web.Response:
        """deleteAgency: retire such a unit. Raises Rejected: `unit-not-yours`, and what `NodeApi.retire` raises."""
        code = AgencyCode.parse(call.parameters.need("agencycode"))
        _require_own_unit(code, call.system)
        async with self._gate.in_time():
            standing = await self._node.retire(code)
        log.info("vxp.unit-retired", system=call.system.system_id, code=str(code), standing=standing.value)
        return _of(standing)

    async def _list(self, call: Call, row: Row) -> web.StreamResponse:
        pages = self._pages(row)
        # An error of the first page, mostly that there is no directory yet, can still be told.
        page = await anext(pages)
        head, _, tail = encoded(success(data=[_MARK])).partition(json.dumps(_MARK).encode())
        response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        await response.prepare(call.request)
        begun = bool(page)
        try:
            await self._written(response, head + page)
            async for page in pages:
                if page:
                    await self._written(response, (b"," if begun else b"") + page)
                    begun = True
            await response.write_eof(tail)
        except (Unavailable, TimeoutError) as error:
            if call.request.transport is not None:
                call.request.transport.abort()
            raise ConnectionResetError("the answer broke off") from error
        return response

    async def _written(self, response: web.StreamResponse, piece: bytes) -> None:
        """Send a piece, to a reader that takes it in time."""
        async with asyncio.timeout(self._silence):
            await response.write(piece)

    async def _pages(self, row: Row) -> AsyncIterator[bytes]:
        """The rows in JSON, between commas, a piece for each page of the directory."""
        after = ""
        while True:
            async with self._gate.in_time():
                entries = await self._node.agencies(after=after, limit=_PAGE)
            rows = [row(entry) for entry in entries if entry.status is EntryStatus.ACTIVE]
            yield b",".join(encoded(one) for one in rows if one is not None)
            if len(entries) < _PAGE:
                return
            after = entries[-1].code.value

    @property
    def lists(self) -> Mapping[str, Handler]:
        """The three lists by the names of their operations."""
        return {
            "getAgenciesList": self.everyone,
            "getAgenciesListQD20": self.by_level,
            "getSynchronizeUnit": self.for_synchronising,
        }


class _WrittenUnit(BaseModel):
    """A unit as clients write it; what else they write is left."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    code: str
    name: str
    mail: str | None = None
    mobile: str | None = None


def _require_own_unit(code: AgencyCode, system: System) -> None:
    if code in system.prefixes or not system.acts_for(code):
        raise Rejected(
            "unit-not-yours",
            f"{code} is no unit below an agency that {system.system_id} acts for.",
            element="code",
            mend="Give a code below one of your own, such as H23.99 below H23.",
        )


def _of(standing: UnitStanding) -> web.Response:
    words = {
        UnitStanding.DONE: "Success",
        UnitStanding.AWAITING_APPROVAL: "Accepted; it waits for the approval of the hub's operator",
    }
    return answered(success() | {"ErrorDesc": words[standing]})


def _parent(code: AgencyCode) -> str:
    above = code.ancestors()
    return above[0].value if above else ""


def _older(entry: AgencyEntry) -> str:
    return entry.older_codes[0].value if entry.older_codes else ""


def _row(entry: AgencyEntry) -> Mapping[str, object]:
    return {
        "id": entry.code.value,
        "pid": _parent(entry.code),
        "code": entry.code.value,
        "name": entry.name,
        "mail": "",
        "oldCode": _older(entry),
    }


def _row_qd20(entry: AgencyEntry) -> Mapping[str, object]:
    return {
        "id": entry.code.value,
        "code": entry.code.value,
        "name": entry.name,
        "mail": "",
        "code102": next((one.value for one in entry.older_codes if one.form is CodeForm.QCVN102), ""),
    }


def _row_synchronised(entry: AgencyEntry) -> Mapping[str, object]:
    # The directory keeps no versions of its entries; readers of other make may miss a member that is not there.
    return {
        "id": entry.code.value,
        "pid": _parent(entry.code),
        "code": entry.code.value,
        "name": entry.name,
        "mail": "",
        "version": 0,
        "modifyDate": "",
        "centerCode": entry.code.root.value,
        "deleted": False,
        "isAgency": True,
    }
