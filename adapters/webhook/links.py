"""Links to attachments, signed: whoever has a link has that one attachment, for a while, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import web

from adapters.attachment_answers import answer_attachment
from adapters.delivery_json import AttachmentFactsJson
from adapters.problems import problem_answer
from adapters.sdk import NodeApi
from schemas.envelope import is_sha256_hex
from schemas.errors import CongvanError, Rejected

log = structlog.get_logger()

_PREFIX: Final = "/attachments"


class AttachmentLinks:
    """Makes links, and answers them. They outlive restarts: all that they need is in them."""

    def __init__(self, node: NodeApi, secret: bytes, *, lifetime: timedelta, clock: Callable[[], datetime]) -> None:
        self._node = node
        # Another key than that of the posts: neither signature passes for the other.
        self._key = hmac.new(secret, b"congvan attachment links", hashlib.sha256).digest()
        self._lifetime = lifetime
        self._clock = clock

    def path(self, facts: AttachmentFactsJson) -> str:
        """The path and query of a link to the attachment."""
        expires = int((self._clock() + self._lifetime).timestamp())
        signature = self._signature(facts.sha256, facts.size, facts.safe_name, expires)
        name = quote(facts.safe_name, safe="")
        return f"{_PREFIX}/{facts.sha256}/{facts.size}/{name}?expires={expires}&signature={signature}"

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get(f"{_PREFIX}/{{digest}}/{{size}}/{{name}}", self._answer, allow_head=False)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            digest, size, name = self._named(request)
            return await answer_attachment(request, self._node, digest=digest, size=size, name=name)
        except CongvanError as error:
            log.info("webhook.link-refused", rule=error.code, remote=request.remote)
            return problem_answer(error)

    def _named(self, request: web.Request) -> tuple[str, int, str]:
        """What the link names; raises Rejected: `link-invalid`, `link-expired`."""
        digest, size, name = (request.match_info[part] for part in ("digest", "size", "name"))
        expires = request.query.get("expires", "")
        numbers = size.isascii() and size.isdecimal() and expires.isascii() and expires.isdecimal()
        if not (numbers and len(size) < 20 and len(expires) < 12 and is_sha256_hex(digest)):
            raise _invalid()
        expected = self._signature(digest, int(size), name, int(expires))
        given = request.query.get("signature", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(expected.encode(), given):
            raise _invalid()
        if self._clock().timestamp() >= int(expires):
            raise Rejected(
                "link-expired", "The link no longer holds.", mend="Take the link of the message's next delivery."
            )
        return digest, int(size), name

    def _signature(self, digest: str, size: int, name: str, expires: int) -> str:
        said = f"{digest} {size} {expires} {name}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()


def _invalid() -> Rejected:
    return Rejected("link-invalid", "The link is none of this node's.", mend="Take it as it stands in the message.")
