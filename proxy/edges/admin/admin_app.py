"""Builds the admin application: middlewares, the route table, the three paths without a token.

A request runs problems -> admission -> role -> reading -> handler; its answer is written here. The composition root owns the
listener it is served on.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import hdrs, web

from proxy.core.errors import Refusal
from proxy.core.tokens import check_role
from proxy.edges.admin.admin_connection import occupied
from proxy.edges.admin.admission import CALLER, MARKER, MARKER_PATH, admission
from proxy.edges.admin.authentication import Authentication
from proxy.edges.admin.confirming import confirmed
from proxy.edges.admin.handlers.observability import add_observability
from proxy.edges.admin.openapi import with_description
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Streamed
from proxy.edges.admin.problems import problems
from proxy.edges.admin.queries import Query
from proxy.edges.admin.reading import MAX_BODY_BYTES, read_body, read_query
from proxy.edges.admin.routes import API_PREFIX, ROUTES, Route
from proxy.edges.admin.security_headers import harden
from proxy.edges.admin.streaming import send_stream
from proxy.runtime.state.ordered_changes import CHANGE_ID_HEADER

__all__ = ["AdminParts", "build_admin_app"]


def build_admin_app(parts: AdminParts) -> web.Application:
    """The application, ready for a runner."""
    authentication = Authentication(parts.token, parts.live.token, parts.clock, parts.tokens.uses.used)
    app = web.Application(
        middlewares=[occupied, problems(parts.on_error), admission(authentication, parts.listen_host, parts.hosts)],
        client_max_size=MAX_BODY_BYTES,
    )
    app.on_response_prepare.append(harden)
    for route in with_description(ROUTES, parts.version):
        serve = _endpoint(route, parts)
        app.router.add_route(route.method, API_PREFIX + route.path, serve)
        if not route.is_change:
            app.router.add_route(hdrs.METH_HEAD, API_PREFIX + route.path, serve)
    app.router.add_get(MARKER_PATH, _marker)
    add_observability(app, parts)
    return app


async def _marker(request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(MARKER), content_type="application/json")


async def _ordered(route: Route, parts: AdminParts, ask: Ask, change_id: str) -> Answer[Any] | Streamed[Any]:
    """The answer of a change that has an id; how it ended is remembered."""
    with parts.ordered_changes.carried_out(change_id) as ordered:
        try:
            answer = await route.handler(parts, ask)
        except Refusal as refusal:
            if refusal.status < 500:
                ordered.end("not_changed")
            raise
        has_changed = ordered.took_effect or not route.is_audited
        ordered.end("changed" if has_changed else "not_changed")
        return answer


def _endpoint(route: Route, parts: AdminParts) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        caller = request[CALLER]
        check_role(caller.role, route.role, *route.also)
        query = read_query(request, route.query)
        body = Query() if route.body is None else await read_body(request, route.body)
        ask = Ask(caller=caller, path=request.match_info, body=body, query=query)
        change_id = None if route.method == "GET" else request.headers.get(CHANGE_ID_HEADER)
        if change_id is None:
            answer = await route.handler(parts, ask)
        else:
            answer = await _ordered(route, parts, ask, change_id)
        if isinstance(answer, Streamed):
            return await send_stream(request, answer)
        if parts.workers is not None and route.is_change:
            answer = await confirmed(answer, parts.workers)
        return web.Response(status=answer.status, body=orjson.dumps(answer.content), content_type="application/json")

    return serve
