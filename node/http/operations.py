"""`/healthz`, `/readyz` and `/metrics`, on a listener of their own."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from aiohttp import web
from prometheus_client import CollectorRegistry

from node.http.gauges import NodeGauges, PartGauges
from runtime.metrics import CONTENT_TYPE, render
from runtime.readiness import Readiness, is_ready
from transport import paths


def operations_application(
    readiness: Readiness, gauges: NodeGauges, parts: PartGauges, registry: CollectorRegistry
) -> web.Application:
    async def alive(_request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def ready(_request: web.Request) -> web.Response:
        reports = await readiness.reports()
        body = {"ready": is_ready(reports), "parts": [asdict(report) for report in reports]}
        return web.json_response(body, status=200 if is_ready(reports) else 503)

    async def metrics(_request: web.Request) -> web.Response:
        await asyncio.gather(gauges.refresh(), parts.refresh())
        # Collectors may ask the disk.
        body = await asyncio.to_thread(render, registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.add_routes(
        [web.get(paths.LIVENESS, alive), web.get(paths.READINESS, ready), web.get(paths.METRICS, metrics)]
    )
    return application
