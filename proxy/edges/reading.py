"""From a request to checked values: the JSON body and the query, each as its pydantic model.

A body is one JSON object without duplicate members, exact UTF-8, of bounded size and depth. A request that changes
something and has no body at all counts as `{}`, so that a rollback can be ordered with nothing but a URL.
"""

import asyncio
import json
from typing import Any, TypeVar, cast

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from proxy.core.errors import BadInput, TooLarge
from proxy.edges.problems import BadShape

MAX_BODY_BYTES = 8 * 1024 * 1024
_BODY_SECONDS = 30.0
#: Larger bodies are parsed on another thread, so that calls in flight do not wait.
_PARSED_HERE_BYTES = 256 * 1024
_MAX_NAME = 100
#: What clients call a body they do not send; octet-stream also stands for no type at all.
_TYPES_OF_NOTHING = ("application/json", "application/octet-stream")

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: web.Request, kind: type[Model]) -> Model:
    """The body as `kind`. Raises BadShape, BadInput (`bad_json`, `unsupported_media_type`, ...), TooLarge."""
    content = await _read_object(request)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise BadShape("body", error, _known(kind)) from error


def read_query(request: web.Request, kind: type[Model]) -> Model:
    """The query as `kind`. Raises BadShape, BadInput(`bad_query`) for a parameter that occurs twice."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise BadInput("bad_query", f"the parameter {name[:_MAX_NAME]!r} occurs twice", param=name[:_MAX_NAME])
        given[name] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise BadShape("query", error, _known(kind)) from error


def _known(kind: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in kind.model_fields.items())


def parse_object(raw: bytes) -> dict[str, Any]:
    """One JSON object. Raises BadInput: `bad_json`, `duplicate_member`."""
    try:
        # The first parser is strict about UTF-8, lone surrogates, NaN and depth; the second tells of duplicates and
        # keeps whole numbers of any size exact.
        orjson.loads(raw)
        value: Any = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        explanation = (
            str(error) if isinstance(error, orjson.JSONDecodeError) else "it is nested too deeply or too large"
        )
        raise BadInput("bad_json", f"the body is not JSON: {explanation}") from None
    if not isinstance(value, dict):
        raise BadInput("bad_json", "the body must be a JSON object")
    return cast("dict[str, Any]", value)


async def _read_object(request: web.Request) -> dict[str, Any]:
    if not request.body_exists and request.content_type in _TYPES_OF_NOTHING:
        return {}
    _check_media_type(request)
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise BadInput("body_too_slow", f"the body did not arrive in {_BODY_SECONDS:g} s", status=408) from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    if not raw:
        return {}
    if len(raw) <= _PARSED_HERE_BYTES:
        return parse_object(raw)
    return await asyncio.to_thread(parse_object, raw)


def _check_media_type(request: web.Request) -> None:
    # A page of another site cannot send this type without asking first.
    charset = (request.charset or "utf-8").lower()
    if request.content_type != "application/json" or charset not in ("utf-8", "utf8"):
        raise BadInput("unsupported_media_type", "send the body as application/json in UTF-8", status=415)


def _too_large() -> TooLarge:
    return TooLarge("too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        seen: set[str] = set()
        # `add` gives None, so each name is noted on the way.
        twice = next(name for name, _ in members if name in seen or seen.add(name))[:_MAX_NAME]
        raise BadInput("duplicate_member", f"the member {twice!r} occurs twice", param=twice)
    return found
