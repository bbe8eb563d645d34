"""Builds the admin application: middlewares, the route table, the three paths without a token.

A request runs problems -> admission -> role -> reading -> handler; its answer is written here. The composition root owns the
listener it is served on.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

import orjson
from aiohttp import hdrs, web

from proxy.core.errors import Refusal
from proxy.core.tokens import check_role
from proxy.edges.admin.admin_connection import occupied
from proxy.edges.admin.admission import CALLER, MARKER, MARKER_PATH, admission
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Handler, Streamed
from proxy.edges.admin.authentication import Authentication
from proxy.edges.admin.confirming import Confirm, confirmed
from proxy.edges.admin.handlers.observability import add_observability
from proxy.edges.admin.openapi import with_description
from proxy.edges.admin.problems import problems
from proxy.edges.admin.queries import Query
from proxy.edges.admin.reading import MAX_BODY_BYTES, read_body, read_query
from proxy.edges.admin.routes import API_PREFIX, ROUTES, Route
from proxy.edges.admin.security_headers import harden
from proxy.edges.admin.streaming import send_stream
from proxy.runtime.reports.process import ProcessReader
from proxy.runtime.reports.scrape import Scrape
from proxy.runtime.state.ordered_changes import CHANGE_ID_HEADER, OrderedChanges

_OWN_PARAMETERS = ("ask", "return")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    """What the application itself works with, and what its handlers do; put together by the composition root."""

    authentication: Authentication
    listen_host: str
    #: Other names that requests may call this listener by.
    hosts: Sequence[str] = ()
    process: ProcessReader
    scrape: Scrape
    #: What became of changes that were ordered with an id.
    ordered_changes: OrderedChanges
    #: None where this process serves the calls itself.
    confirm: Confirm | None = None
    on_error: Callable[[BaseException], None]
    #: Of the program, for the description.
    version: str
    #: One of each kind of commands and readers; a handler is given those its parameters name.
    for_handlers: Sequence[object]


def build_admin_app(parts: AdminParts) -> web.Application:
    """The application, ready for a runner. Raises LookupError where a handler names what `for_handlers` has not."""
    app = web.Application(
        middlewares=[
            occupied,
            problems(parts.on_error),
            admission(parts.authentication, parts.listen_host, parts.hosts),
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    app.on_response_prepare.append(harden)
    known = {type(one): one for one in parts.for_handlers}
    for route in with_description(ROUTES, parts.version):
        serve = _endpoint(route, parts, given(route.handler, known))
        app.router.add_route(route.method, API_PREFIX + route.path, serve)
        if not route.is_change:
            app.router.add_route(hdrs.METH_HEAD, API_PREFIX + route.path, serve)
    app.router.add_get(MARKER_PATH, _marker)
    add_observability(app, parts.scrape, parts.process)
    return app


def needs(handler: Handler) -> Mapping[str, type[object]]:
    """The commands and readers a handler works with: the types of its parameters, by their names."""
    return {name: kind for name, kind in get_type_hints(handler).items() if name not in _OWN_PARAMETERS}


def given(handler: Handler, known: Mapping[type[object], object]) -> Handler:
    """The handler with all it works with but the ask. Raises LookupError where something of it is not known."""
    return partial(handler, **{name: known[kind] for name, kind in needs(handler).items()})


async def _marker(request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(MARKER), content_type="application/json")


async def _ordered(
    route: Route, parts: AdminParts, handler: Handler, ask: Ask, change_id: str
) -> AdminAnswer[Any] | Streamed[Any]:
    """The answer of a change that has an id; how it ended is remembered."""
    with parts.ordered_changes.carried_out(change_id) as ordered:
        try:
            answer = await handler(ask=ask)
        except Refusal as refusal:
            if refusal.status < 500:
                ordered.end("not_changed")
            raise
        has_changed = ordered.took_effect or not route.is_audited
        ordered.end("changed" if has_changed else "not_changed")
        return answer


def _endpoint(
    route: Route, parts: AdminParts, handler: Handler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        caller = request[CALLER]
        check_role(caller.role, route.role, *route.also)
        query = read_query(request, route.query)
        body = Query() if route.body is None else await read_body(request, route.body)
        ask = Ask(caller=caller, path=request.match_info, body=body, query=query)
        change_id = None if route.method == "GET" else request.headers.get(CHANGE_ID_HEADER)
        if change_id is None:
            answer = await handler(ask=ask)
        else:
            answer = await _ordered(route, parts, handler, ask, change_id)
        if isinstance(answer, Streamed):
            return await send_stream(request, answer)
        if parts.confirm is not None and route.is_change:
            answer = await confirmed(answer, parts.confirm)
        return web.Response(status=answer.status, body=orjson.dumps(answer.content), content_type="application/json")

    return serve
