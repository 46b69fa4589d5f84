"""A node's listeners: plain for monitoring, with TLS for what the hub pushes."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

from aiohttp import web

from runtime.addresses import Address
from schemas.errors import Unavailable


@contextlib.asynccontextmanager
async def listening(
    application: web.Application, address: Address, *, table: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Address]:
    """Serve `application` at `address`; gives the address with the port that is listened on.

    Raises `address-in-use`, which names the `table` of settings that the address is from.
    """
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, auto_decompress=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            raise Unavailable(
                "address-in-use",
                f"{address} cannot be listened on: {error.strerror or error}.",
                mend=f"Stop what listens there, or set another [{table}] listen.",
            ) from error
        yield Address(address.host, site.port)
    finally:
        await runner.cleanup()
