"""The OpenAPI 3.1 description of the admin API, made from the route table, what handlers say they return, and the models of bodies
and queries.

Decision: objects of answers are closed (`additionalProperties: false`). The description is served by the process that answers, so
it can be exact, and what it left open no test would miss. A client that shall outlive a version ignores what it does not know.
"""

import asyncio
import re
from collections.abc import Sequence
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from proxy.core.tokens import ROLES, permits
from proxy.edges.admin.admission import MARKER_PATH
from proxy.edges.admin.answers.problems import Problem
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask
from proxy.edges.admin.contract import refusals
from proxy.edges.admin.contract.open_paths import OPEN_CONTENTS, head_of, open_paths
from proxy.edges.admin.contract.parameters import path_parameters, query_parameters
from proxy.edges.admin.contract.problem_responses import ProblemResponses, problem_examples
from proxy.edges.admin.contract.schemas import Schema, Schemas, answer_schemas, body_schemas, reference, referenced
from proxy.edges.admin.queries import PageQuery
from proxy.edges.admin.routes import API_PREFIX, Route

_REFERENCES = re.compile(r"'#/components/schemas/(\w+)'")
_STRAGGLERS: Schema = {
    "type": "array",
    "items": {"type": "string"},
    "description": "only with several workers: those that do not have the change in force yet",
}


def with_description(routes: Sequence[Route], version: str) -> tuple[Route, ...]:
    """The routes and one more, which answers with the description of them all, itself included."""

    @cache
    def document() -> dict[str, Any]:
        return describe(all_routes, version)

    async def get_description(ask: Ask) -> AdminAnswer[dict[str, Any]]:
        # Made once, in a quarter of a second; calls in flight do not wait for that.
        return AdminAnswer(await asyncio.to_thread(document))

    own = Route(
        "GET",
        "/openapi.json",
        "get_openapi",
        "This description",
        "viewer",
        get_description,
        "An OpenAPI 3.1 document",
    )
    all_routes = (*routes, own)
    return all_routes


def contents_of(route: Route) -> dict[int, Any]:
    """What the handler says it answers with, by status."""
    told = get_type_hints(route.handler)["return"]
    kinds = get_args(told) if get_origin(told) in (Union, UnionType) else (told,)
    return {get_origin(kind).status: get_args(kind)[0] for kind in kinds}


def describe(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The OpenAPI document of these routes, and of the paths that need no token."""
    answers, components = _answers(routes)
    problems = ProblemResponses()
    paths: dict[str, dict[str, Any]] = open_paths(MARKER_PATH, problems)
    for route, answered in zip(routes, answers, strict=True):
        methods = paths.setdefault(API_PREFIX + route.path, {})
        methods[route.method.lower()] = _operation(route, answered, problems)
        if route.method == "GET":
            methods["head"] = head_of(methods["get"])
    bodies = body_schemas({route.body for route in routes if route.body is not None})
    assert not bodies.keys() & components.keys(), "a body and an answer would have one name"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Switchback admin API",
            "version": version,
            "description": "Every refusal is a problem document (RFC 9457) with a stable `code`; examples name the codes.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**components, **bodies},
            "responses": problems.components(),
            "examples": problem_examples(),
        },
    }


def _answers(routes: Sequence[Route]) -> tuple[list[dict[int, Schema]], Schemas]:
    """The schema of each route's answers by status, and the components they refer to."""
    contents = [contents_of(route) for route in routes]
    flat = [content for by_status in contents for content in by_status.values() if content is not bytes]
    schemas, components = answer_schemas([*flat, Problem, *OPEN_CONTENTS])
    # What a list shows, or another answer holds, has no stragglers there.
    shared = set(_REFERENCES.findall(repr(components)))
    left = iter(schemas)
    found: list[dict[int, Schema]] = []
    for route, by_status in zip(routes, contents, strict=True):
        described = {
            status: {"type": "string", "contentEncoding": "binary"} if content is bytes else next(left)
            for status, content in by_status.items()
        }
        if not route.is_change:
            shared |= {referenced(schema) for schema in described.values()}
        found.append(described)
    for route, described in zip(routes, found, strict=True):
        if route.is_change:
            described.update({status: _confirmed(schema, components, shared) for status, schema in described.items()})
    return found, components


def _confirmed(schema: Schema, components: Schemas, shared: set[str]) -> Schema:
    """The schema of a change's answer, which names the workers that lag behind."""
    name = referenced(schema)
    changed = f"{name}Changed" if name in shared else name
    whole = components[name]
    components[changed] = {**whole, "properties": {**whole["properties"], "stragglers": _STRAGGLERS}}
    return reference(changed)


def _operation(route: Route, answered: dict[int, Schema], problems: ProblemResponses) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.path.split("/")[1].removesuffix(".json")],
        "x-role": route.role,
        "x-roles": [role for role in ROLES if any(permits(role, needed) for needed in (route.role, *route.also))],
        "parameters": [*path_parameters(route.path), *query_parameters(route.query)],
        "responses": {
            **{
                str(status): {"description": route.answer, "content": _content(route, schema)}
                for status, schema in answered.items()
            },
            **problems.of(refusals_of(route)),
        },
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            "content": {"application/json": {"schema": reference(route.body.__name__)}},
        }
    return operation


def _content(route: Route, schema: Schema) -> dict[str, Any]:
    if not route.streams:
        return {"application/json": {"schema": schema}}
    name = referenced(schema)
    text = {"type": "string", "description": f"{name} in each line or row"} if name else schema
    return {media: {"schema": text} for media in route.streams}


def refusals_of(route: Route) -> list[str]:
    """The codes that an operation may be refused with."""
    changes_agent = route.is_change and "{agent}" in route.path
    common = (
        (True, refusals.ANY),
        (route.role != ROLES[0] or bool(route.also), refusals.ROLE),
        (route.is_change, refusals.CHANGE),
        (route.body is not None, refusals.BODY),
        (issubclass(route.query, PageQuery), refusals.PAGE),
        ("{agent}" in route.path, refusals.AGENT),
        (changes_agent, refusals.AGENT_CHANGE),
    )
    codes = [code for applies, found in common if applies for code in found]
    return sorted({*codes, *route.refusals})
