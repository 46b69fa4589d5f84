"""An operation of the API: its route, who may call it, what it takes and gives. The documentation is made of these."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar, get_origin

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.message_json import JsonShape
from adapters.rest.tokens import Grant, Scope
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import LimitExceeded, Rejected, Unavailable

QueryT = TypeVar("QueryT", bound="Query")
BodyT = TypeVar("BodyT", bound=JsonShape)
T = TypeVar("T")

JSON: Final = "application/json"
_KEY: Final = re.compile(r"[!-~]{1,200}", re.ASCII)
#: Of RFC 9457's errors, those that any operation can give.
COMMON_PROBLEMS: Final = (400, 401, 403, 500, 503)


class Query(BaseModel):
    """The parameters of a query; one that the operation does not know is refused, for it may be misspelt."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Words:
    """A line for people, in both languages."""

    vietnamese: str
    english: str

    def __str__(self) -> str:
        return f"{self.vietnamese} / {self.english}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a bearer who may make it."""

    request: web.Request
    grant: Grant
    silence_seconds: float
    json_bytes: int

    @property
    def key(self) -> str:
        """The Idempotency-Key; raises Rejected: `key-malformed`."""
        text = self.request.headers.get("Idempotency-Key", "")
        if not _KEY.fullmatch(text):
            raise Rejected(
                "key-malformed",
                "The header Idempotency-Key is missing, or is not 1 to 200 visible characters of ASCII.",
                element="Idempotency-Key",
                mend="Give the id that the document has in your software: the same key sends the same document once.",
            )
        return text

    def query(self, model: type[QueryT]) -> QueryT:
        """The parameters of the query; raises Rejected: `parameter-invalid`."""
        several = {name for name, one in model.model_fields.items() if get_origin(one.annotation) is tuple}
        values: dict[str, object] = {}
        for name in dict.fromkeys(self.request.query):
            found = self.request.query.getall(name)
            values[name] = found if name in several else found[-1]
            if name not in several and len(found) > 1:
                raise Rejected("parameter-invalid", f"The parameter {name[:80]!r} stands twice.", element=name[:80])
            if any("\0" in one for one in found):
                # A database server takes no text with it, and nothing that is looked for has it.
                raise Rejected("parameter-invalid", f"The parameter {name[:80]!r} holds a NUL.", element=name[:80])
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise _invalid("parameter-invalid", "The query", error) from error

    async def body(self, model: type[BodyT]) -> BodyT:
        """The JSON body; raises Rejected: `media-type`, `body-invalid`, `too-large`; Unavailable as `chunk` does."""
        if self.request.content_type != JSON:
            raise Rejected("media-type", f"The body is not {JSON}.", element="Content-Type", mend=f"Send {JSON}.")
        body = bytearray()
        while piece := await self.chunk():
            body += piece
            if len(body) > self.json_bytes:
                raise LimitExceeded("too-large", f"The body has more than {self.json_bytes} bytes.")
        try:
            return model.model_validate_json(bytes(body), strict=True)
        except ValidationError as error:
            raise _invalid("body-invalid", "The body", error) from error

    async def chunk(self) -> bytes:
        """The next bytes of the body, none at its end; raises Unavailable: `request-broke-off`."""
        return await self.in_time(self.request.content.readany())

    async def in_time(self, reading: Awaitable[T]) -> T:
        """What `reading` gives, unless the software falls silent; raises Unavailable: `request-broke-off`."""
        try:
            async with asyncio.timeout(self.silence_seconds):
                return await reading
        except TimeoutError as error:
            raise Unavailable("request-broke-off", "The request fell silent before its end.") from error

    def message_id(self) -> Sha256Hex:
        """The message id in the path; raises Rejected: `not-found`."""
        text = self.request.match_info["message_id"]
        if not is_sha256_hex(text):
            raise Rejected("not-found", f"{text[:80]!r} is no message id.", mend="It is a SHA-256, 64 digits of hex.")
        return text

    def require(self, scope: Scope) -> None:
        """Pass if the token gives `scope`; raises Rejected: `scope-missing`."""
        if scope not in self.grant.scopes:
            raise Rejected(
                "scope-missing",
                f"The token {self.grant.name} has no scope {scope}.",
                mend=f"Make one that has: congvan node token add NAME --scope {scope}",
            )

    def granted(self, code: AgencyCode) -> AgencyCode:
        """`code`, if the bearer may speak for it; raises Rejected: `agency-not-granted`."""
        if not self.grant.covers(code):
            raise Rejected(
                "agency-not-granted",
                f"The token {self.grant.name} is not for the agency {code}.",
                mend="Use that agency's token.",
            )
        return code


Handler: TypeAlias = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation answers: JSON of a `shape`, or bytes of a `media` type."""

    words: Words
    shape: type[JsonShape] | None = None
    media: str = JSON
    headers: Mapping[str, Words] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that the API does.

    `path` may hold the parameters `message_id`, `recipient`, `code` and `number`, in braces. The body is JSON
    (`body`), a document's form (`multipart`), either of these, or bytes of a type (`media`). `keyed`: it needs an
    Idempotency-Key. `problems` are the statuses of errors besides `COMMON_PROBLEMS`. `scope` None: any token will do.
    """

    name: str
    method: str
    path: str
    tag: Words
    scope: Scope | None
    words: Words
    detail: str = ""
    query: type[Query] | None = None
    body: type[JsonShape] | None = None
    media: str | None = None
    multipart: bool = False
    keyed: bool = False
    headers: Mapping[str, Words] = field(default_factory=dict)
    answers: Mapping[int, Answer]
    problems: Sequence[int] = ()
    run: Handler


def json_answer(shape: JsonShape, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=shape.model_dump_json(exclude_none=True).encode(),
        status=status,
        content_type=JSON,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _invalid(code: str, what: str, error: ValidationError) -> Rejected:
    found = error.errors(include_url=False, include_input=False)
    places = [".".join(str(part) for part in one["loc"]) for one in found]
    said = "; ".join(
        f"{place}: {one['msg']}" if place else one["msg"] for place, one in zip(places, found[:5], strict=False)
    )
    return Rejected(
        code, f"{what} cannot be used: {said}.", element=places[0] or None, mend="See /docs for what it takes."
    )
