"""sendEdoc: a classic edXML file becomes a message of the node, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from aiohttp import web

from adapters.classic_files import ClassicFile, read_classic_file
from adapters.sdk import NodeApi, Submission
from adapters.spool import Spool
from adapters.vxp.answers import answered, success
from adapters.vxp.bodies import Bodies, Upload, file_pieces
from adapters.vxp.calls import Call
from adapters.vxp.limits import Gate
from adapters.vxp.systems import System
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.limits import Limits

log = structlog.get_logger()


class Sending:
    """Takes files. Copies of what is being taken stand in `spool`."""

    def __init__(self, node: NodeApi, bodies: Bodies, gate: Gate, *, spool: Path, limits: Limits) -> None:
        self._node = node
        self._bodies = bodies
        self._gate = gate
        self._spool = spool
        self._limits = limits

    async def send(self, call: Call) -> web.Response:
        """Take the file of one call. The same file of the same system again has the same answer.

        Java repeats a request whose connection dies, and a captured one can be repeated by anybody; so the key is what
        was sent. A status comes the same way; what the file is, its StatusCode says.

        Raises Rejected: `sender-not-yours`, `hash-file-wrong`, `refused-before`, what the reader of the classic form
        and the node refuse.
        """
        hash_file = call.parameters.need("hash-file")
        await self._require_named(call.parameters.need("from"), call.system)
        async with self._gate.transfer():
            with await asyncio.to_thread(Spool, self._spool) as spool:
                upload = await self._bodies.upload(
                    call.request, spool, limit=self._limits.message_bytes, hash_file=hash_file
                )
                async with self._gate.in_time(upload.size):
                    message_id, repeated = await self._submitted(call.system, upload, spool)
        log.info("vxp.sent", system=call.system.system_id, message=message_id, repeated=repeated)
        return answered(success(DocId=message_id))

    async def _submitted(self, system: System, upload: Upload, spool: Spool) -> tuple[str, bool]:
        classic: ClassicFile = await asyncio.to_thread(
            read_classic_file, file_pieces(upload.path), "edXML", spool, self._limits
        )
        await self._require_own(classic.message.sender.organ_id, system, "MessageHeader/From/OrganId")
        submitted = await self._node.submit(
            Submission(
                key=f"{system.system_id} {upload.digest}",
                fingerprint=upload.digest,
                message=classic.message,
                attachments=classic.attachments,
            )
        )
        if submitted.repeated:
            await self._require_standing(submitted.message_id, system)
        return submitted.message_id, submitted.repeated

    async def _require_standing(self, message_id: Sha256Hex, system: System) -> None:
        """Pass unless the hub has refused the message since: "yes" once more would hide that nobody gets it."""
        found = await self._node.sent(senders=system.agencies(self._node), message_id=message_id, limit=1)
        if found and found[0].refused is not None:
            raise Rejected(
                "refused-before",
                f"The hub has refused this file, which was sent as {message_id}: {found[0].refused}",
                mend="Put right what it names and write the file anew: the same one is not sent again.",
            )

    async def _require_named(self, name: str, system: System) -> None:
        """Pass if `name` is an agency that the system acts for, or the system itself, as some software writes."""
        if name != system.system_id:
            await self._require_own(AgencyCode.parse(name), system, "from")

    async def _require_own(self, code: AgencyCode, system: System, element: str) -> None:
        entry = await self._node.agency(code)
        today = entry.code if entry else code
        if today not in self._node.served_codes:
            raise Rejected(
                "sender-not-served",
                f"This node does not serve {code}.",
                element=element,
                mend="Send for an agency of this node, or connect to the node that serves it.",
            )
        if not system.acts_for(today):
            raise Rejected(
                "sender-not-yours",
                f"{system.system_id} does not act for {code}.",
                element=element,
                mend="Add the agency to the system's `codes` in the node's settings.",
            )
