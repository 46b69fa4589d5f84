"""HTTP connections of a program that runs on uvloop, made by the loop itself.

aiohttp connects a Python socket and gives it to the loop. On uvloop that socket and libuv may then both close one file
descriptor: where another thread has opened a file under its number meanwhile, that file is closed, or written into
(docs/adr/0013).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler


class LoopConnector(aiohttp.TCPConnector):
    """As `aiohttp.TCPConnector`, but no Python socket stands for a connection; addresses are tried one after another.

    `local_addr` and `socket_factory` have no meaning here.
    """

    async def _wrap_create_connection(
        self,
        *protocol: Callable[[], ResponseHandler],
        addr_infos: Sequence[tuple[Any, ...]],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as its caller calls it
        client_error: Callable[[Any, OSError], Exception] = aiohttp.ClientConnectorError,
        **options: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        (factory,) = protocol
        failures: list[OSError] = []
        async with asyncio.timeout(timeout.sock_connect):
            for *_, (host, port, *_rest) in addr_infos:
                try:
                    return await self._loop.create_connection(factory, host=host, port=port, **options)
                except ssl.CertificateError as error:
                    raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
                except ssl.SSLError as error:
                    raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
                except OSError as error:
                    failures.append(error)
        raise client_error(req.connection_key, failures[0]) from failures[0]
