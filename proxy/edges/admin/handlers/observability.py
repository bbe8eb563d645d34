"""What machines look at without a token: /metrics, /livez, /readyz.

Readiness is about taking calls, not about the store: while the store is away the last known good snapshot serves.
"""

import asyncio

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from proxy.core.spending.caps import Cap, window_start
from proxy.edges.admin.answers.problems import Readiness
from proxy.edges.admin.parts import AdminParts


def add_observability(app: web.Application, parts: AdminParts) -> None:
    """Register the three paths."""

    async def metrics(request: web.Request) -> web.Response:
        own = parts.metrics.registry
        registry = own if parts.workers is None else await parts.workers.merged(own)
        refresh_gauges(parts)
        # Thousands of series take a while to write; calls in flight do not wait for that.
        text = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        reasons = ["draining"] if parts.is_draining() else []
        if parts.workers is not None and not parts.workers.are_serving:
            reasons.append("no worker takes calls")
        if not parts.live.is_loaded:
            reasons.append("not_ready")
        is_ready = not reasons
        if parts.standby.presence.is_away:
            # Told, and no reason to take the process out of service: it serves what was last known good.
            reasons.append("store_away")
        content: Readiness = {"ready": is_ready, "revision": parts.live.current.revision, "reasons": reasons}
        return web.Response(
            status=200 if is_ready else 503, body=orjson.dumps(content), content_type="application/json"
        )

    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)


def refresh_gauges(parts: AdminParts) -> None:
    """Take over what is counted elsewhere, and what time alone changes (windows, expired switches)."""
    metrics, now = parts.metrics, parts.clock.now_microseconds()
    metrics.in_flight.set(parts.request_path.in_flight)
    metrics.holds_outstanding.set(parts.ledger.holds_outstanding)
    metrics.recorder_queue_length.set(parts.recorder.queue_length)
    metrics.recorder_dropped.follow(parts.recorder.dropped)
    metrics.conversation_evictions.follow(parts.conversations.evictions)
    snapshot = metrics.labels.snapshot = parts.live.current
    metrics.switches_on(switch for switch in snapshot.switches if switch.is_active(now))
    metrics.caps_left((cap, _left(parts, cap, now)) for cap in snapshot.caps)


def _left(parts: AdminParts, cap: Cap, now: int) -> float:
    fullest = parts.ledger.standing(cap, window_start(cap.window, now)).fullest()
    used = fullest[0].spent + fullest[0].held if fullest else 0
    return max(0, cap.limit_amount - used) / cap.limit_amount if cap.limit_amount else 0.0
