"""The demo's agencies open for their own software: what their nodes' settings get, and where to connect."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from adapters.rest.settings import RestSettings
from adapters.rest.tokens import Scope, Tokens
from congvan.demo.programs import free_port, listening
from congvan.demo.site import Site
from node.settings import SETTINGS_FILE, NodeFolder
from runtime.clock import utc_now
from runtime.files import write_file
from schemas.codes import AgencyCode

_FILEDROP: Final = "[adapters.filedrop]\n"
_A_YEAR: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the software of `agency` connects, and by what it is known there: `access` are texts to give, by name."""

    agency: str
    adapter: str
    url: str
    access: Mapping[str, Any] = field(repr=False)


async def open_endpoints(site: Site, codes: Iterable[str]) -> list[Endpoint]:
    """Have the nodes of `codes` answer software from now on; their folders out/ stay, their in/ get nothing more.

    The nodes start again with other settings, as they would at an agency.
    """
    return [one for opened in await asyncio.gather(*(_open(site, code) for code in codes)) for one in opened]


async def _open(site: Site, code: str) -> list[Endpoint]:
    node = site.nodes[code]
    await node.stop()
    endpoints = await asyncio.to_thread(_set_up, site, code)
    await node.start()
    for endpoint in endpoints:
        await listening(site.host, int(endpoint.url.rpartition(":")[2]))
    return endpoints


def _set_up(site: Site, code: str) -> list[Endpoint]:
    folder = site.node_folder(code)
    secret_file = (folder / "vxp-demo.secret").resolve()
    system_id, secret = f"demo.{code.lower()}", secrets.token_hex(16)
    write_file(secret_file, secret.encode() + b"\n")
    tokens = Tokens(RestSettings().tokens(NodeFolder(folder).adapter("rest")), utc_now)
    token = tokens.add("demo", scopes=tuple(Scope), agencies=(AgencyCode(code),), expires_at=utc_now() + _A_YEAR)
    vxp, rest = (f"{site.host}:{free_port(site.host)}" for _ in range(2))
    tables = f"""
[adapters.vxp]
listen = {json.dumps(vxp)}

[adapters.vxp.systems.demo]
system_id = {json.dumps(system_id)}
secret_file = {json.dumps(str(secret_file))}
codes = [{json.dumps(code)}]

[adapters.rest]
listen = {json.dumps(rest)}
desk = "vxp"
"""
    settings = folder / SETTINGS_FILE
    # What comes is for the software alone: filedrop goes on sending and is handed over nothing.
    text = settings.read_text(encoding="utf-8").replace(_FILEDROP, f"{_FILEDROP}codes = []\n", 1)
    write_file(settings, (text + tables).encode())
    return [
        Endpoint(code, "vxp", f"http://{vxp}", {"system_id": system_id, "secret": secret}),
        Endpoint(code, "rest", f"http://{rest}", {"token": token.text}),
    ]
