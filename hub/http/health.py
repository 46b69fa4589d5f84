"""`/healthz`, `/readyz` and `/metrics`: to everybody whether the hub works, to operators also how it does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from ipaddress import IPv4Network, IPv6Network

from aiohttp import web
from prometheus_client import CollectorRegistry

from hub.http.peer import comes_from
from runtime.metrics import CONTENT_TYPE, render
from runtime.readiness import PartReport, Readiness
from transport import paths


def public_health_routes(
    readiness: Readiness, registry: CollectorRegistry, metrics_from: Sequence[IPv4Network | IPv6Network]
) -> list[web.RouteDef]:
    """For the public listener: health without a word on the parts, metrics for listed addresses alone."""

    async def ready(_request: web.Request) -> web.Response:
        reports = await readiness.reports()
        return web.json_response({"ready": _all_well(reports)}, status=_status(reports))

    async def metrics(request: web.Request) -> web.Response:
        if not comes_from(request, metrics_from):
            raise web.HTTPNotFound
        return await _metrics(registry)

    return [
        web.get(paths.LIVENESS, _alive),
        web.get(paths.READINESS, ready),
        web.get(paths.METRICS, metrics),
    ]


def operations_routes(readiness: Readiness, registry: CollectorRegistry) -> list[web.RouteDef]:
    """For the operator's own listener: everything."""

    async def ready(_request: web.Request) -> web.Response:
        reports = await readiness.reports()
        body = {"ready": _all_well(reports), "parts": [asdict(report) for report in reports]}
        return web.json_response(body, status=_status(reports))

    async def metrics(_request: web.Request) -> web.Response:
        return await _metrics(registry)

    return [
        web.get(paths.LIVENESS, _alive),
        web.get(paths.READINESS, ready),
        web.get(paths.METRICS, metrics),
    ]


async def _alive(_request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def _metrics(registry: CollectorRegistry) -> web.Response:
    # Collectors may ask the disk or the database.
    body = await asyncio.to_thread(render, registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def _all_well(reports: Sequence[PartReport]) -> bool:
    return all(report.fault is None for report in reports)


def _status(reports: Sequence[PartReport]) -> int:
    return 200 if _all_well(reports) else 503
