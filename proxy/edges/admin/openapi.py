"""The OpenAPI 3.1 description of the admin API, made from the route table and the models of bodies and queries."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from proxy.core.tokens import ROLES, permits
from proxy.edges.admin.parts import AdminParts, Answer, Ask
from proxy.edges.admin.queries import Query
from proxy.edges.admin.routes import API_PREFIX, Route

_PATH_NAME = re.compile(r"\{(\w+)\}")
_PATH_SCHEMAS = {
    "agent": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
    "label": {"type": "string", "pattern": "^[a-z][a-z0-9._-]{0,63}$"},
    "n": {"type": "string", "pattern": "^([1-9][0-9]{0,8}|latest)$"},
    "a": {"type": "string", "description": "a version's number, a label, or `latest`"},
    "b": {"type": "string", "description": "the same, of the other side"},
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457. `code` is stable, `param` names the member at fault, `errors` every one of them.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "param": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"param": {"type": "string"}, "message": {"type": "string"}},
                "required": ["param", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_LIST_SCHEMA = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "object"}}, "next": {"type": ["string", "null"]}},
    "required": ["items", "next"],
}


def with_description(routes: Sequence[Route], version: str) -> tuple[Route, ...]:
    """The routes and one more, which answers with the description of them all, itself included."""

    @cache
    def document() -> dict[str, Any]:
        return describe(all_routes, version)

    async def get_description(parts: AdminParts, ask: Ask) -> Answer[dict[str, Any]]:
        return Answer(document())

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


def describe(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    bodies = {route.body for route in routes if route.body is not None}
    _, schemas = models_json_schema(
        [(body, "validation") for body in sorted(bodies, key=lambda body: body.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Switchback admin API", "version": version},
        "servers": [{"url": API_PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM_SCHEMA, "List": _LIST_SCHEMA},
            "responses": {
                "Problem": {
                    "description": "What was wrong",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    is_list = route.operation.startswith("list_")
    schema = {"$ref": "#/components/schemas/List"} if is_list else {"type": "object"}
    content = {media: {"schema": {"type": "string"}} for media in route.streams} or {
        "application/json": {"schema": schema}
    }
    answer = {"description": route.answer, "content": content}
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "x-role": route.role,
        "x-roles": [role for role in ROLES if any(permits(role, needed) for needed in (route.role, *route.also))],
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {
            **{str(status): answer for status in route.statuses},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.body.__name__}"}}},
        }
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, {"type": "string"})}
        for name in _PATH_NAME.findall(path)
    ]


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": found}
        for name, found in schema.get("properties", {}).items()
    ]
