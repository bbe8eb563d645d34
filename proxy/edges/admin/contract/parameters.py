"""How the description names what stands in paths and queries."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from proxy.core.shapes import AgentName, LabelName, PlanName
from proxy.edges.admin.contract.schemas import Schema, member_schema, query_schema

_NAME = re.compile(r"\{(\w+)\}")
_SIDE: Schema = {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,63}$", "examples": ["3", "prod", "latest"]}
_PATH: dict[str, tuple[str, Schema]] = {
    "agent": ("the agent's name", member_schema(AgentName)),
    "label": ("the label's name", member_schema(LabelName)),
    "name": ("the plan's name", member_schema(PlanName)),
    "n": (
        "the version's number, or `latest`",
        {"type": "string", "pattern": "^([1-9][0-9]{0,8}|latest)$", "examples": ["3", "latest"]},
    ),
    "a": ("a version's number, a label, or `latest`", _SIDE),
    "b": ("the same, of the other side", _SIDE),
    "id": (
        "the id, as lists show it",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}$", "examples": ["r1"]},
    ),
}


_CHANGE_ID = (
    "the id the change was sent with",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$", "examples": ["change-0001"]},
)


def path_parameters(path: str) -> list[dict[str, Any]]:
    """The parameters that a route's path names in braces."""
    known = {**_PATH, "id": _CHANGE_ID} if path.startswith("/changes/") else _PATH
    return [
        {"name": name, "in": "path", "required": True, "description": known[name][0], "schema": known[name][1]}
        for name in _NAME.findall(path)
    ]


@cache
def query_parameters(query: type[BaseModel]) -> Sequence[dict[str, Any]]:
    """The members of a query's model; many routes have the same."""
    schema = query_schema(query)
    required = schema.get("required", [])
    return [
        _parameter(name, dict(found), is_required=name in required)
        for name, found in schema.get("properties", {}).items()
    ]


def _parameter(name: str, schema: Schema, *, is_required: bool) -> dict[str, Any]:
    told = schema.pop("description", None)
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": is_required, "schema": schema}
    return parameter if told is None else {**parameter, "description": told}
