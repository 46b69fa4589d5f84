"""The hub's side of a push: one batch, posted to a node's endpoint."""

from __future__ import annotations

import contextlib
import io
import ssl
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable
from transport import paths
from transport.loop_connector import LoopConnector

#: Seconds that a node which says it is busy, and not for how long, is left alone.
_BUSY_SECONDS = 5.0


class PushClient:
    """Pushes to one endpoint. Made by `open_push_client`."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: URL, tls: ssl.SSLContext, patience: float) -> None:
        self._session = session
        self._endpoint = endpoint.join(URL(paths.PUSH))
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=patience)

    async def push(self, answer: bytes) -> None:
        """Post a MailboxAnswer. When this returns the node has taken it.

        Raises:
            Unavailable: `push-busy` with `retry_after`; `push-certificate`, `push-failed`, `push-unreachable`.
        """
        headers = {"Content-Type": paths.JSON_TYPE}
        try:
            # A file, not bytes: aiohttp writes it in pieces, where a long body as bytes would block the loop.
            async with self._session.post(
                self._endpoint,
                data=io.BytesIO(answer),
                headers=headers,
                ssl=self._tls,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                _require_taken(response)
        except aiohttp.ServerFingerprintMismatch as error:
            raise Unavailable(
                "push-certificate",
                f"{self._endpoint.origin()} does not show the certificate of this connection.",
                mend="Check the address; if the node has enrolled again, restart it.",
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unavailable:
        # The text of a connector's error shows objects of Python as well; the system's own word says it.
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unavailable("push-unreachable", f"{self._endpoint.origin()} cannot be reached: {what}.")


@contextlib.asynccontextmanager
async def open_push_client(
    url: str, tls: ssl.SSLContext, fingerprint: Sha256Hex, *, patience: float
) -> AsyncIterator[PushClient]:
    """A client of the endpoint at `url` (`https://name:port`), which must show the certificate of `fingerprint`.

    The certificate is compared before a byte of a request is sent: it names a connection and no host, so that a name
    could not be checked, and whoever shows it in TLS has its key. A push has `patience` seconds.
    """
    connector = LoopConnector(ssl=aiohttp.Fingerprint(bytes.fromhex(fingerprint)), limit=2, keepalive_timeout=75)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield PushClient(session, URL(url), tls, patience)


def _require_taken(response: aiohttp.ClientResponse) -> None:
    if 200 <= response.status < 300:
        return
    if response.status in (429, 503):
        busy = Unavailable("push-busy", f"The node is busy (status {response.status}).")
        wait = response.headers.get("Retry-After", "")
        busy.retry_after = float(wait) if wait.isascii() and wait.isdecimal() else _BUSY_SECONDS
        raise busy
    raise Unavailable("push-failed", f"The node answered with status {response.status}.")
