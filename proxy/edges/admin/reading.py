"""From a request to checked values: the JSON body and the query, each as its pydantic model.

A body is one JSON object without duplicate members, exact UTF-8, of bounded size, depth and number of members. A request that
changes something and has no body at all counts as `{}`, so that a rollback can be ordered with nothing but a URL.
"""

import asyncio
import json
import re
from typing import Any, TypeVar, cast

import orjson
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from proxy.core.errors import BadInput, TooLarge
from proxy.edges.admin.problems import BadShape, shown_name

MAX_BODY_BYTES = 8 * 1024 * 1024
_BODY_SECONDS = 30.0
#: Larger bodies are parsed on another thread, so that calls in flight do not wait.
_PARSED_HERE_BYTES = 64 * 1024
#: Brackets, commas, strings and numbers of a larger body: a parser holds the interpreter for all of them together.
_MAX_TOKENS = 100_000
_MAX_ESCAPES = 500_000
_MAX_DIGITS = 1000
_QUOTE = ord('"')
# For a text without escapes. A string that does not end counts to the end, so that nothing is looked at twice.
_TOKEN = re.compile(rb'"[^"]*+"?|[,\[{]|[0-9]++')
#: What clients call a body they do not send; octet-stream also stands for no type at all.
_TYPES_OF_NOTHING = ("application/json", "application/octet-stream")

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: web.Request, kind: type[Model]) -> Model:
    """The body as `kind`. Raises BadShape, BadInput (`bad_json`, `unsupported_media_type`, ...), TooLarge."""
    content = await _read_object(request)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise BadShape("body", error, kind) from error


def read_query(request: web.Request, kind: type[Model]) -> Model:
    """The query as `kind`. Raises BadShape, BadInput(`bad_query`) for a parameter that occurs twice."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            shown = shown_name(name)
            raise BadInput("bad_query", f"the parameter {shown} occurs twice", param=shown)
        given[name] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise BadShape("query", error, kind) from error


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
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise BadInput("unsupported_encoding", "send the body as it is, without Content-Encoding", status=415)
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise BadInput("body_too_slow", f"the body did not arrive in {_BODY_SECONDS:g} s", status=408) from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise BadInput("bad_framing", "the body does not arrive as its headers announce it") from None
    if not raw:
        return {}
    if len(raw) <= _PARSED_HERE_BYTES:
        return parse_object(raw)
    return await asyncio.to_thread(_parse_large_object, raw)


def _parse_large_object(raw: bytes) -> dict[str, Any]:
    """Decision: 8 MB of small members took 0.8 s, in which no call was served although another thread parsed; so they are
    counted before anything is built. Counting gives the interpreter away as other Python code does."""
    if raw.count(b"\\") > _MAX_ESCAPES:
        raise TooLarge("too_large", f"the body has more than {_MAX_ESCAPES} escapes")
    without_escapes = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    for count, token in enumerate(_TOKEN.finditer(without_escapes)):
        if count >= _MAX_TOKENS:
            raise TooLarge("too_large", f"the body has more than {_MAX_TOKENS} brackets, commas, strings and numbers")
        if token.end() - token.start() > _MAX_DIGITS and without_escapes[token.start()] != _QUOTE:
            raise BadInput("bad_json", "the body is not JSON: it has a number that is too large")
    return parse_object(raw)


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
        twice = shown_name(next(name for name, _ in members if name in seen or seen.add(name)))
        raise BadInput("duplicate_member", f"the member {twice} occurs twice", param=twice)
    return found
