"""Whether an answer is one that the description promises: its status, its media type, every member, the code of a problem.

A validator for the part of JSON Schema that the description uses; a keyword it does not know is an error, so that nothing passes
unread.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from proxy.edges.admin.openapi import describe, with_description
from proxy.edges.admin.routes import ROUTES

_SAYS_NOTHING = {"type", "description", "examples", "default", "contentEncoding"}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


#: As every server of this version serves it, also to JSON and back. Made here: a test of deadlines has no time for it.
DESCRIPTION: dict[str, Any] = orjson.loads(orjson.dumps(describe(with_description(ROUTES, "1"), "1")))


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = DESCRIPTION
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def faults(schema: dict[str, Any], value: Any, at: str = "") -> list[str]:
    """Everything about `value` that the schema does not allow."""
    schema = resolved(schema)
    kinds = schema.get("type", [])
    if kinds and not any(_TYPES[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{at}: {value!r} is no {kinds}"]
    found: list[str] = []
    for keyword, told in schema.items():
        if keyword in _SAYS_NOTHING:
            continue
        assert keyword in _SHALLOW or keyword in _DEEP, f"{at}: {keyword} is not looked at"
        if keyword in _DEEP:
            found += _DEEP[keyword](schema, value, at)
        elif not _SHALLOW[keyword](value, told):
            found.append(f"{at}: {value!r} is not within {keyword} {told}")
    return found


def _is_sized(least: int, value: Any, most: int | None = None) -> bool:
    return not isinstance(value, str | list | dict) or (least <= len(value) and (most is None or len(value) <= most))


def _is_moment(value: Any, form: str) -> bool:
    try:
        return form != "date-time" or (_MOMENT.match(value) is not None and bool(datetime.fromisoformat(value)))
    except ValueError:
        return False


_SHALLOW: dict[str, Callable[[Any, Any], bool]] = {
    "enum": lambda value, told: value in told,
    "const": lambda value, told: value == told,
    "pattern": lambda value, told: not isinstance(value, str) or re.search(told, value) is not None,
    "minimum": lambda value, told: not isinstance(value, int | float) or value >= told,
    "maximum": lambda value, told: not isinstance(value, int | float) or value <= told,
    "minLength": lambda value, told: _is_sized(told, value),
    "minItems": lambda value, told: _is_sized(told, value),
    "maxLength": lambda value, told: _is_sized(0, value, told),
    "maxItems": lambda value, told: _is_sized(0, value, told),
    "maxProperties": lambda value, told: _is_sized(0, value, told),
    "format": _is_moment,
}


def _any_of(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    tried = [faults(choice, value, at) for choice in schema["anyOf"]]
    return [] if [] in tried else [fault for some in tried for fault in some]


def _members(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    inner = schema["properties"]
    return [fault for name in inner if name in value for fault in faults(inner[name], value[name], f"{at}.{name}")]


def _required(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    return [f"{at}.{name} is missing" for name in schema["required"] if name not in value]


def _others(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    told, names = schema["additionalProperties"], sorted(value.keys() - schema.get("properties", {}).keys())
    if isinstance(told, bool):
        return [] if told else [f"{at}.{name} is not described" for name in names]
    return [fault for name in names for fault in faults(told, value[name], f"{at}.{name}")]


def _names(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    return [fault for name in value for fault in faults(schema["propertyNames"], name, f"{at}: the name")]


def _items(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    return [fault for index, item in enumerate(value) for fault in faults(schema["items"], item, f"{at}[{index}]")]


_DEEP: dict[str, Callable[[dict[str, Any], Any, str], list[str]]] = {
    "anyOf": _any_of,
    "properties": _members,
    "required": _required,
    "additionalProperties": _others,
    "propertyNames": _names,
    "items": _items,
}


def operation_at(method: str, path: str) -> dict[str, Any] | None:
    """The operation that a request's path, without its query, leads to; paths without braces come first."""
    asked = path.partition("?")[0]
    paths = sorted(DESCRIPTION["paths"], key=lambda known: (known.count("{"), known))
    for known in paths:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), asked):
            return DESCRIPTION["paths"][known].get(method.lower())
    return None


def undescribed(method: str, path: str, status: int, media: str, content: Any) -> list[str]:
    """What of an answer the description of its operation does not allow. Requests that lead to none answer problems."""
    operation = operation_at(method, path)
    if operation is None:
        return [] if status in (400, 401, 404, 405, 417, 421, 429) else [f"{method} {path}: {status}"]
    at = f"{operation['operationId']} {status}"
    if str(status) not in operation["responses"]:
        return [f"{at} is not described: {content!r}"[:300]]
    if method == "HEAD":
        return []
    described = resolved(operation["responses"][str(status)])["content"]
    plain = media.partition(";")[0]
    if plain not in described:
        return [f"{at} is no {plain}"]
    if plain == "application/problem+json" and content["code"] not in described[plain]["examples"]:
        return [f"{at} {content['code']} is not described"]
    return faults(described[plain]["schema"], content, at) if plain.endswith("json") else []
