"""One try to push a message, and what its answer means."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

import aiohttp
from yarl import URL

from adapters.sdk import Accepted, Later, Never, Refused
from certs.signed_posts import error_words, signature_headers
from schemas.limits import KIB

#: What an answer means.
Pushed: TypeAlias = Accepted | Refused | Later | Never

KEY_HEADER: Final = "Congvan-Delivery"

#: The software refuses the document: its sender is told, if it says why.
_REFUSING: Final = (410, 422)
#: It can never take this message as it stands; trying again changes nothing.
_NEVER: Final = (400, 411, 413, 414, 415, 431)
#: Of the body of an answer, a reason is read and no more.
_REASON_BYTES: Final = 8 * KIB
_REASON_LENGTH: Final = 1000
_LONGEST_WAIT: Final = 24 * 3600.0


class Pusher:
    """Posts to one address. What it is sent to stands in the settings alone: no redirect, no proxy, no cookie."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        secret: bytes,
        *,
        timeout_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._session = session
        self._url = url
        self._secret = secret
        self._timeout = timeout_seconds
        self._clock = clock

    async def push(self, body: bytes, key: str) -> Pushed:
        """Post `body` once. What does not come through is for later."""
        headers = {
            "Content-Type": "application/json",
            KEY_HEADER: key,
            **signature_headers(self._secret, body, self._clock()),
        }
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                return await self._meant(answer)
        except TimeoutError:
            return Later(f"The software did not answer within {self._timeout:g} s.")
        except (aiohttp.ClientError, OSError) as error:
            return Later(f"The software could not be reached: {error_words(error)}.")

    async def _meant(self, answer: aiohttp.ClientResponse) -> Pushed:
        status = answer.status
        if 200 <= status < 300:
            return Accepted()
        if status in _REFUSING:
            reason = _reason(await answer.content.read(_REASON_BYTES))
            # Without a reason it may be a misconfigured server; a refusal cannot be taken back, a parked message can.
            return Refused(reason) if reason else Never(f"The software refused it with status {status} and no reason.")
        if status in _NEVER:
            return Never(f"The software cannot take it: status {status}.")
        return Later(f"The software answered with status {status}.", self._wait(answer.headers.get("Retry-After")))

    def _wait(self, text: str | None) -> float | None:
        """The seconds that Retry-After asks for, as a number or a date."""
        if text is None:
            return None
        try:
            seconds = float(text) if text.strip().isdecimal() else self._until(parsedate_to_datetime(text))
        except (ValueError, OverflowError):
            return None
        return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else None

    def _until(self, instant: datetime) -> float:
        if instant.tzinfo is None:
            raise ValueError("a date without a zone names no instant")
        return (instant - self._clock()).total_seconds()


def _reason(body: bytes) -> str | None:
    """The reason in a JSON answer: its `reason`, or the `detail` of a problem document."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    reason = said.get("reason") or said.get("detail")
    return reason.strip()[:_REASON_LENGTH] or None if isinstance(reason, str) else None


def open_session(trust: ssl.SSLContext) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    """A session for posts; certificates are verified by `trust`."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        # The body of an answer is a reason at most: nothing is inflated for it.
        auto_decompress=False,
    )
