"""The listener of an adapter that agencies' software connects to: where, how many, with TLS or not, and its end.

Software on the node's own machine is the rule: another address than loopback is taken only where the settings say that
the network may reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeAlias

import structlog
from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from yarl import URL

from certs.tls import listener_context
from runtime.addresses import Address
from runtime.settings import Settings
from schemas.errors import Unavailable
from schemas.limits import KIB

log = structlog.get_logger()

#: What to answer where no handler could: a status and a sentence (a request that is no HTTP, a fault of ours).
FaultAnswer: TypeAlias = Callable[[int, str], web.Response]

#: Connections that the system takes before the program accepts them.
_BACKLOG: Final = 128

#: Where aiohttp's sentence about a request that is no HTTP begins to quote it.
_QUOTE: Final = re.compile(r"\n|:? *(?:bytearray\()?b?['\"]")

#: aiohttp would name itself and Python with their versions, to whoever looks for known holes.
_SOFTWARE: Final = "Congvan"


def _address(text: str) -> str:
    return str(Address.parse(text))


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _absolute(path: Path | None) -> Path | None:
    if path is not None and not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


PathOrNothing = Annotated[Path | None, BeforeValidator(lambda value: value or None), AfterValidator(_absolute)]


class ListenSettings(Settings):
    """Where an adapter listens. An adapter's own table gives `listen` its port."""

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:0"
    """Where the software connects to, host:port."""
    network: bool = False
    """Whether `listen` may be another address than loopback, so that other machines reach it."""
    tls_certificate_file: PathOrNothing = None
    """The certificate and its chain (PEM, an absolute path) to speak TLS with. Empty: plain HTTP."""
    tls_key_file: PathOrNothing = None
    """The certificate's private key (PEM, 0600, an absolute path)."""
    connections: Annotated[int, Field(ge=1, le=10_000)] = 256
    """How many connections may be open at once; further ones are closed as they come."""
    silence_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """How long a connection may be silent, in a request or between two, or take nothing of an answer, before it is
    closed."""
    header_bytes: Annotated[int, Field(ge=8 * KIB, le=256 * KIB)] = 64 * KIB
    """The longest header line of a request."""

    @property
    def address(self) -> Address:
        return Address.parse(self.listen)

    @model_validator(mode="after")
    def _is_meant(self) -> Self:
        if not self.network and not is_loopback(self.address.host):
            raise ValueError(
                f"listen: {self.listen} is no loopback address; other machines reach it: set network = true"
            )
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file are set together")
        return self

    def tls(self) -> ssl.SSLContext | None:
        """The context to speak TLS with; raises KeyRejected as `certs.tls.listener_context` does."""
        if self.tls_certificate_file is None or self.tls_key_file is None:
            return None
        return listener_context(self.tls_certificate_file, self.tls_key_file)


class _Connection(web.RequestHandler):
    """One connection: closed at once if there are too many, and answered by `fault` where aiohttp answers by itself.

    Whoever takes nothing of an answer for `silence` seconds is cut off: it would keep its place for good.
    """

    def __init__(
        self, server: web.Server, fault: FaultAnswer, most: int, silence: float, options: Mapping[str, Any]
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._server = server
        self._fault = fault
        self._most = most
        self._silence = silence
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._server.connections) > self._most:
            log.warning("listener.full", connections=self._most)
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The reader is slower than the answer: see that it takes some of it."""
        super().pause_writing()
        self._watch_reader(None)

    def resume_writing(self) -> None:
        self._unwatch()
        super().resume_writing()

    def _watch_reader(self, left: int | None) -> None:
        transport = self.transport
        if not isinstance(transport, asyncio.WriteTransport):
            return
        waiting = transport.get_write_buffer_size()
        if left is not None and waiting >= left:
            log.warning("listener.reader-silent", seconds=self._silence, bytes=waiting)
            # A close would wait for the reader to take what it was sent.
            transport.abort()
            return
        self._watch = asyncio.get_running_loop().call_later(self._silence, self._watch_reader, waiting)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            # An answer is under way: breaking it off is all that tells the client.
            raise ConnectionResetError("the answer broke off") from exc
        # What stands in quotes, and below the first line, is of the request, its secrets too.
        sentence = _QUOTE.split(message or "", maxsplit=1)[0] if status < 500 else ""
        if status < 500:
            log.info("listener.refused", status=status, reason=sentence, remote=request.remote)
        else:
            log.error("listener.fault", status=status, error=repr(exc), exc_info=exc)
        response = self._fault(status, sentence)
        response.headers["Server"] = _SOFTWARE
        response.force_close()
        return response


@contextlib.asynccontextmanager
async def listening(
    application: web.Application,
    settings: ListenSettings,
    *,
    table: str,
    fault: FaultAnswer,
    grace_seconds: float = 5.0,
) -> AsyncIterator[URL]:
    """Serve `application` as `settings` say; gives the URL with the port that is listened on.

    On leaving, nothing new is taken and what is under way has `grace_seconds` to end. Raises KeyRejected, and
    Unavailable `address-in-use`, which names the `table` of settings that the address is from.
    """
    address, tls = settings.address, await asyncio.to_thread(settings.tls)
    application.on_response_prepare.append(_hide_software)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=grace_seconds)
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("a runner that was set up has a server")
    options = {
        "access_log": None,
        "keepalive_timeout": settings.silence_seconds,
        "lingering_time": settings.silence_seconds,
        "max_line_size": settings.header_bytes,
        "max_field_size": settings.header_bytes,
        # Nothing inflates on the way in: a limit on bytes is a limit on bytes.
        "auto_decompress": False,
    }

    def connection() -> _Connection:
        return _Connection(server, fault, settings.connections, settings.silence_seconds, options)

    try:
        try:
            listener = await asyncio.get_running_loop().create_server(
                connection, address.host, address.port, ssl=tls, backlog=_BACKLOG
            )
        except OSError as error:
            raise Unavailable(
                "address-in-use",
                f"{address} cannot be listened on: {error.strerror or error}.",
                mend=f"Stop what listens there, or set another [{table}] listen.",
            ) from error
        try:
            port: int = listener.sockets[0].getsockname()[1]
            yield URL.build(scheme="https" if tls else "http", host=address.host, port=port)
        finally:
            # Not `wait_closed`: from Python 3.12 it waits for the connections, which the runner closes.
            listener.close()
    finally:
        await runner.cleanup()


async def _hide_software(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers["Server"] = _SOFTWARE
