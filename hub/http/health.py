"""`/healthz`, `/readyz` and `/metrics`: to everybody whether the hub works, to operators also how it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from ipaddress import IPv4Network, IPv6Network

from aiohttp import web

from hub.http.gauges import HubMetrics
from hub.http.peer import comes_from
from runtime.metrics import CONTENT_TYPE
from runtime.readiness import PartReport, Readiness, is_degraded, is_ready
from transport import paths


def public_health_routes(
    readiness: Readiness, measured: HubMetrics, metrics_from: Sequence[IPv4Network | IPv6Network]
) -> list[web.RouteDef]:
    """For the public listener: health without a word on the parts, metrics for listed addresses alone."""

    async def ready(_request: web.Request) -> web.Response:
        reports = await readiness.reports()
        return web.json_response(_summary(reports), status=_status(reports))

    async def metrics(request: web.Request) -> web.Response:
        if not comes_from(request, metrics_from):
            raise web.HTTPNotFound
        return await _metrics(measured)

    return [
        web.get(paths.LIVENESS, _alive),
        web.get(paths.READINESS, ready),
        web.get(paths.METRICS, metrics),
    ]


def operations_routes(readiness: Readiness, measured: HubMetrics) -> list[web.RouteDef]:
    """For the operator's own listener: everything."""

    async def ready(_request: web.Request) -> web.Response:
        reports = await readiness.reports()
        body = {**_summary(reports), "parts": [asdict(report) for report in reports]}
        return web.json_response(body, status=_status(reports))

    async def metrics(_request: web.Request) -> web.Response:
        return await _metrics(measured)

    return [
        web.get(paths.LIVENESS, _alive),
        web.get(paths.READINESS, ready),
        web.get(paths.METRICS, metrics),
    ]


async def _alive(_request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def _metrics(measured: HubMetrics) -> web.Response:
    return web.Response(body=await measured.text(), headers={"Content-Type": CONTENT_TYPE})


def _summary(reports: Sequence[PartReport]) -> dict[str, bool]:
    return {"ready": is_ready(reports), "degraded": is_degraded(reports)}


def _status(reports: Sequence[PartReport]) -> int:
    return 200 if is_ready(reports) else 503
