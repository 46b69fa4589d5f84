"""The node's side of the protocol: each call a method, each failure `Rejected` or `Unavailable`."""

from __future__ import annotations

import contextlib
import errno
import io
import secrets
import socket
import ssl
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from runtime.clock import utc_now
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Rejected, Unavailable
from transport import paths
from transport.batches import BroughtSubmission, results_in, write_batch
from transport.problems import error_of
from transport.wire import (
    DirectoryAnswer,
    EnrolmentAnswer,
    EnrolmentRequest,
    MailboxAnswer,
    MessageTrace,
    OutcomesAnswer,
    OutcomesRequest,
    ReplaysAnswer,
    ReplaysRequest,
    SentAnswer,
    SubmissionAnswer,
    SubmissionsAnswer,
    UnitAnswer,
    UnitForm,
    WireT,
    decode,
)

#: Seconds until a call that moves no attachment has failed.
CALL_TIMEOUT = 60.0

#: Seconds a connection may stay silent while an attachment moves; the whole may take as long as it takes.
SILENCE_TIMEOUT = 60.0

#: Bytes of an attachment that come from the network while those before them are digested and written, and once more as
#: many: aiohttp reads up to twice this.
_READ_AHEAD = 256 * 1024

#: Bytes of JSON that an answer may have: a full mailbox batch, with a margin.
ANSWER_LIMIT = 256 * 1024 * 1024

#: The window of zlib, with gzip's header and its checksum.
_GZIP = 31


#: OpenSSL's codes for certificates that are not valid yet, and that have expired.
_OF_VALIDITY = frozenset({9, 10})
#: What the system says of a connection that was ended half-way; aiohttp's own errors have the number alone.
_BROKEN = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})
#: Seconds for the question what time it is at a hub.
_DATE_TIMEOUT = 5.0


class HubClient:
    """Calls to one hub. Made by `open_hub_client`."""

    def __init__(self, session: aiohttp.ClientSession, hub: URL) -> None:
        self._session = session
        self._hub = hub
        # One for all requests, so that each end reads the header once; by chance, so that no content can hold it.
        self._boundary = secrets.token_hex(16)

    async def enrol(self, secret: str, request: EnrolmentRequest) -> EnrolmentAnswer:
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": paths.JSON_TYPE}
        return await self._json(EnrolmentAnswer, "POST", paths.ENROLMENTS, data=request.encode(), headers=headers)

    async def submit(self, envelope: bytes, attachments: Mapping[Sha256Hex, bytes]) -> SubmissionAnswer:
        """Submit a sealed envelope with the short ones of its attachments; the answer says what else to upload."""
        # A file, not bytes: aiohttp writes it in pieces, where a long envelope as bytes would block the loop.
        content = io.BytesIO(envelope)
        if not attachments:
            return await self._json(
                SubmissionAnswer, "POST", paths.ENVELOPES, data=content, headers={"Content-Type": paths.ENVELOPE_TYPE}
            )
        with aiohttp.MultipartWriter("form-data", boundary=self._boundary) as body:
            part = body.append(content, {"Content-Type": paths.ENVELOPE_TYPE})
            part.set_content_disposition("form-data", name=paths.ENVELOPE_PART)
            for digest, attachment in attachments.items():
                part = body.append(attachment, {"Content-Type": "application/octet-stream"})
                part.set_content_disposition("form-data", name=paths.ATTACHMENT_PART_PREFIX + digest)
        return await self._json(SubmissionAnswer, "POST", paths.ENVELOPES, data=body)

    async def submit_all(self, submissions: Sequence[BroughtSubmission]) -> list[SubmissionAnswer | CongvanError]:
        """Submit several envelopes that are whole with their short attachments, in one request.

        Gives what `submit` would have given or raised for each, in their order; raises what concerns the request.
        """
        answer = await self._json(
            SubmissionsAnswer,
            "POST",
            paths.ENVELOPES,
            # A file, as for one envelope.
            data=io.BytesIO(write_batch(submissions)),
            headers={"Content-Type": paths.BATCH_TYPE},
        )
        return results_in(answer, len(submissions))

    async def upload_offset(self, location: str) -> int:
        """How many bytes of an upload the hub holds. Raises `upload-unknown` if the submission is gone."""
        try:
            async with self._call("HEAD", location, headers={"Tus-Resumable": paths.TUS_VERSION}) as answer:
                return int(answer.headers["Upload-Offset"])
        except Rejected as error:
            # An answer to HEAD has no body, so no problem document; that it was refused can mean one thing only.
            raise Rejected("upload-unknown", "The hub does not know this upload.") from error

    async def upload(
        self, location: str, offset: int, content: AsyncIterable[bytes], *, length: int | None = None
    ) -> int:
        """Send an attachment's bytes from `offset` on, `length` of them if that is known; gives the offset reached."""
        headers = {"Tus-Resumable": paths.TUS_VERSION, "Upload-Offset": str(offset), "Content-Type": paths.OFFSET_TYPE}
        if length is not None:
            # Without it the body goes in chunks of HTTP, of which each costs both sides.
            headers["Content-Length"] = str(length)
        async with self._call("PATCH", location, data=content, headers=headers, timeout=_while_moving()) as answer:
            return int(answer.headers["Upload-Offset"])

    async def mailbox(self, *, wait: float, limit: int, express: bool = False) -> MailboxAnswer:
        """Lease what waits, up to `limit` entries; wait up to `wait` seconds for a first one.

        `express`: of express documents alone, and what speaks of them. An older hub hands out others as well.
        """
        timeout = aiohttp.ClientTimeout(total=wait + CALL_TIMEOUT)
        params = {"wait": f"{wait:g}", "limit": str(limit)} | ({"express": "1"} if express else {})
        return await self._json(MailboxAnswer, "GET", paths.MAILBOX, params=params, timeout=timeout)

    async def replays(self, after: int) -> ReplaysAnswer:
        """Have a part of what was closed under a later mark than `after` offered again; ask until it is finished."""
        headers = {"Content-Type": paths.JSON_TYPE}
        body = ReplaysRequest(after=after).encode()
        return await self._json(ReplaysAnswer, "POST", paths.REPLAYS, data=body, headers=headers)

    async def sent(self, *, since: datetime | None, after: int) -> SentAnswer:
        """Messages of this connection that were accepted at `since` or later, from behind number `after` on."""
        params = {"after": str(after)}
        if since is not None:
            params["since"] = since.isoformat()
        return await self._json(SentAnswer, "GET", paths.MESSAGES, params=params)

    async def report(self, request: OutcomesRequest) -> OutcomesAnswer:
        headers = {"Content-Type": paths.JSON_TYPE}
        return await self._json(OutcomesAnswer, "POST", paths.RECEIPTS, data=request.encode(), headers=headers)

    @contextlib.asynccontextmanager
    async def blob(self, digest: Sha256Hex, *, start: int, lease: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """An attachment's bytes from `start` on; `lease` (`<entry>:<lease>`), if one is held, is renewed by the read.

        Raises Rejected: `blob-unknown`, `payload-purged`.
        """
        headers = {} if lease is None else {paths.LEASE_HEADER: lease}
        if start:
            headers["Range"] = f"bytes={start}-"
        options = {"headers": headers, "timeout": _while_moving(), "read_bufsize": _READ_AHEAD}
        async with self._call("GET", f"{paths.BLOBS}/{digest}", **options) as answer:
            if start and answer.status != 206:
                raise Unavailable("hub-failed", f"The hub answered a ranged read with status {answer.status}.")
            yield _translated(answer.content.iter_any())

    async def directory(self, *, since: int) -> DirectoryAnswer:
        # A nation's directory is 31 MB, and a tenth of that as gzip.
        headers = {"Accept-Encoding": "gzip"}
        return await self._json(DirectoryAnswer, "GET", paths.DIRECTORY, params={"since": str(since)}, headers=headers)

    async def declare_unit(self, code: AgencyCode, unit: UnitForm) -> UnitAnswer:
        """Declare a unit below an agency of this connection, or give it another name. The same again changes nothing.

        Raises Rejected: `units-not-allowed`, `unit-not-below`, `unit-refused`, `units-too-many`, `code-taken`,
        `agency-retired`, `name-malformed`.
        """
        headers = {"Content-Type": paths.JSON_TYPE}
        return await self._json(UnitAnswer, "PUT", f"{paths.AGENCIES}/{code}", data=unit.encode(), headers=headers)

    async def retire_unit(self, code: AgencyCode) -> UnitAnswer:
        """Retire such a unit, for good. The same again changes nothing. Raises as `declare_unit`; `unit-unknown`."""
        return await self._json(UnitAnswer, "DELETE", f"{paths.AGENCIES}/{code}")

    async def message(self, message_id: Sha256Hex) -> MessageTrace:
        return await self._json(MessageTrace, "GET", f"{paths.MESSAGES}/{message_id}")

    async def envelope(self, message_id: Sha256Hex) -> bytes:
        """The bytes of a message that this connection sent or received, as they were signed.

        Raises Rejected: `message-unknown`, `payload-purged`.
        """
        async with self._call("GET", f"{paths.MESSAGES}/{message_id}/envelope") as answer:
            return await _read_at_most(answer.content, ANSWER_LIMIT)

    async def _json(self, form: type[WireT], method: str, path: str, **options: Any) -> WireT:
        async with self._call(method, path, **options) as answer:
            if answer.content_type != paths.JSON_TYPE:
                raise Unavailable(
                    "not-a-hub",
                    f"{self._hub} answered with {answer.content_type}, not JSON.",
                    mend="Check the hub's address.",
                )
            read = _inflated if answer.headers.get("Content-Encoding") == "gzip" else _read_at_most
            body = await read(answer.content, ANSWER_LIMIT)
        try:
            return decode(form, body)
        except Rejected as error:
            # The peer is at fault, not what was sent: a mended hub will answer the same call.
            raise Unavailable("hub-answer", f"The hub's answer is malformed: {error.message}") from error

    @contextlib.asynccontextmanager
    async def _call(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        options.setdefault("timeout", aiohttp.ClientTimeout(total=CALL_TIMEOUT))
        try:
            async with self._session.request(
                method, self._hub.join(URL(path)), allow_redirects=False, **options
            ) as answer:
                if answer.status >= 300:
                    raise _with_retry_after(error_of(answer.status, await _read_at_most(answer.content, 65536)), answer)
                yield answer
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError) as error:
            if _is_of_validity(error):
                raise await self._untimely(error) from error
            raise _unreachable(self._hub, error) from error

    async def _untimely(self, error: Exception) -> CongvanError:
        """The error for a hub whose certificate is not valid by this machine's clock; with the hub's time, if it says.

        That time is shown to people and believed by nobody: it comes over a connection that proves nothing.
        """
        time_there = ""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            timeout = aiohttp.ClientTimeout(total=_DATE_TIMEOUT)
            address = self._hub.join(URL(paths.LIVENESS))
            async with self._session.get(address, ssl=_unverified(), allow_redirects=False, timeout=timeout) as answer:
                time_there = f" The hub's own clock says {answer.headers.get('Date', 'nothing')}."
        return Unavailable(
            "hub-certificate",
            f"By this machine's clock ({utc_now():%a, %d %b %Y %H:%M:%S} GMT) the certificate of {self._hub} is "
            f"not valid: {error}.{time_there}",
            mend="Correct this machine's clock if it is wrong; else the hub's operator renews the certificate. "
            "All waits, and nothing is lost.",
        )


class FixedAddress(AbstractResolver):
    """Gives one IP address for every name: for a hub whose name is in no DNS. TLS still asks for the name."""

    def __init__(self, address: str) -> None:
        self._address = ip_address(address)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        own = socket.AF_INET6 if self._address.version == 6 else socket.AF_INET
        if family not in (socket.AF_UNSPEC, own):
            return []
        return [
            ResolveResult(
                hostname=host, host=str(self._address), port=port, family=own, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def open_hub_client(
    hub: str, tls: ssl.SSLContext, *, source_address: str | None = None, connect_to: str | None = None
) -> AsyncIterator[HubClient]:
    """A client of the hub at `hub` (`https://name:port`).

    It speaks from `source_address`, and to the IP address `connect_to` instead of asking where the name leads, if they
    are given.
    """
    local = (source_address, 0) if source_address else None
    resolver = FixedAddress(connect_to) if connect_to else None
    # No limit here: the node bounds its uploads and downloads, and its poll must never wait behind them.
    connector = aiohttp.TCPConnector(ssl=tls, local_addr=local, resolver=resolver, limit=0, keepalive_timeout=75)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield HubClient(session, URL(hub))


def is_broken_off(error: CongvanError) -> bool:
    """Whether a call failed as its connection was ended half-way: the hub is there, or was until this moment."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return True
    reason = getattr(cause, "os_error", cause)
    is_broken = isinstance(reason, ConnectionResetError | ConnectionAbortedError | BrokenPipeError)
    return is_broken or (isinstance(reason, OSError) and reason.errno in _BROKEN)


async def fetch_authority(hub: str, *, source_address: str | None = None, connect_to: str | None = None) -> bytes:
    """The hub's authority (PEM), asked for before anything can be trusted: compare it with the token's fingerprint."""
    async with (
        open_hub_client(hub, _unverified(), source_address=source_address, connect_to=connect_to) as client,
        client._call("GET", paths.AUTHORITY) as answer,  # noqa: SLF001 - its own module
    ):
        return await _read_at_most(answer.content, 65536)


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _while_moving() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=CALL_TIMEOUT, sock_read=SILENCE_TIMEOUT)


def _with_retry_after(error: CongvanError, answer: aiohttp.ClientResponse) -> CongvanError:
    wait = answer.headers.get("Retry-After", "")
    if isinstance(error, Unavailable) and wait.isdecimal():
        error.retry_after = float(wait)
    return error


async def _translated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable("hub-unreachable", f"The transfer broke off: {error}.") from error


async def _read_at_most(stream: aiohttp.StreamReader, limit: int) -> bytes:
    parts = []
    async for part in stream.iter_any():
        parts.append(part)
        limit -= len(part)
        if limit < 0:
            raise Unavailable("hub-answer", "The hub's answer is longer than any answer can be.")
    return b"".join(parts)


async def _inflated(stream: aiohttp.StreamReader, limit: int) -> bytes:
    """What a stream of gzip holds, as long as that is no longer than `limit` bytes."""
    inflating = zlib.decompressobj(wbits=_GZIP)
    parts = []
    try:
        async for part in stream.iter_any():
            # One byte beyond the limit tells enough: a few bytes can hold gigabytes.
            parts.append(inflating.decompress(part, limit + 1))
            limit -= len(parts[-1])
            if limit < 0 or inflating.unconsumed_tail:
                raise Unavailable("hub-answer", "The hub's answer is longer than any answer can be.")
    except zlib.error as error:
        raise Unavailable("hub-answer", f"The hub's answer is no gzip: {error}.") from error
    if not inflating.eof:
        raise Unavailable("hub-answer", "The hub's answer ends in the middle.")
    return b"".join(parts)


def _is_of_validity(error: BaseException) -> bool:
    """Whether TLS failed for the time alone: a certificate that is not valid yet, or no longer."""
    # aiohttp puts OpenSSL's error into one of its own.
    cause: BaseException | None = getattr(error, "certificate_error", error)
    return getattr(cause, "verify_code", None) in _OF_VALIDITY


def _unreachable(hub: URL, error: Exception) -> CongvanError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return Unavailable(
            "hub-certificate",
            f"{hub} shows a certificate that its authority did not issue for that name: {error}.",
            mend="Check the hub's address and name; ask its operator.",
        )
    what = str(error) or type(error).__name__
    mend = "A running node tries again by itself; else check the address, or give --connect-to where it is in no DNS."
    return Unavailable("hub-unreachable", f"{hub} cannot be reached: {what}.", mend=mend)
