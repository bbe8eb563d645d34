"""Everything that goes wrong, as application/problem+json (RFC 9457) with a stable `code`.

A refusal is told as it is; an exception nobody expected is told to `on_error` and to the client only as `internal_error`. No
answer repeats a value that was sent, only names of members, and those only where they look like names.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from proxy.core.errors import Refusal, Unauthorized
from proxy.core.nearest import nearest_of
from proxy.core.releasing.preflight import FindingDocument, PreflightFailed
from proxy.core.wrong_values import accepted
from proxy.edges.admin.answers.problems import FaultyMember, Problem

PROBLEM_TYPE = "application/problem+json"
_MAX_ERRORS = 20
#: Telling them apart costs 3 µs each, on the event loop.
_MAX_LISTED = 1000
#: Shorter than any token or key.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}\Z")
_PHRASES = {400: "bad_request", 413: "too_large", 417: "expectation_failed"}


class BadShape(Exception):
    """A body or query of the wrong shape: which members, and why. `where` is `body` or `query`."""

    def __init__(self, where: str, error: ValidationError, kind: type[BaseModel]) -> None:
        super().__init__(f"bad {where}")
        self.where = where
        if error.error_count() > _MAX_LISTED:
            self.errors: list[FaultyMember] = [
                {"param": "", "message": f"has more than {_MAX_LISTED} members that are not as they should be"}
            ]
            return
        self.errors = [
            {"param": _path(found["loc"]), "message": _explained(where, found, kind)}
            for found in error.errors(include_url=False)[:_MAX_ERRORS]
        ]


def problems(on_error: Callable[[BaseException], None]) -> Middleware:
    """The outermost middleware: whatever is raised inside becomes a problem document."""

    @web.middleware
    async def answer_problems(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return _of_refusal(refusal)
        except BadShape as bad:
            first = bad.errors[0]
            detail = f"{first['param']}: {first['message']}" if first["param"] else first["message"]
            return problem(400, f"bad_{bad.where}", detail, param=first["param"] or None, errors=bad.errors)
        except web.HTTPMethodNotAllowed as wrong:
            allow = ", ".join(sorted(wrong.allowed_methods))
            detail = f"{request.method} is not allowed here; there is {allow}"
            return problem(405, "method_not_allowed", detail, headers={hdrs.ALLOW: allow})
        except web.HTTPNotFound:
            return problem(404, "path_not_found", "there is nothing at this path; see /api/v1/openapi.json")
        except web.HTTPException as error:
            return problem(error.status, _PHRASES.get(error.status, "request_refused"), error.reason)
        except ConnectionError as error:
            if request.transport is None:
                # The client went away in the middle of its request; nobody is left to tell.
                raise
            return _failed(error)
        except Exception as error:
            return _failed(error)

    def _failed(error: BaseException) -> web.Response:
        on_error(error)
        return problem(500, "internal_error", "the proxy failed on this request; its log says more")

    return answer_problems


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    param: str | None = None,
    errors: list[FaultyMember] | None = None,
    findings: list[FindingDocument] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """One problem document."""
    content: Problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if param is not None:
        content["param"] = param
    if errors is not None:
        content["errors"] = errors
    if findings is not None:
        content["findings"] = findings
    return web.Response(status=status, body=orjson.dumps(content), content_type=PROBLEM_TYPE, headers=headers)


def _of_refusal(refusal: Refusal) -> web.Response:
    headers: dict[str, str] = {}
    if refusal.retry_after_seconds is not None:
        headers[hdrs.RETRY_AFTER] = str(refusal.retry_after_seconds)
    if isinstance(refusal, Unauthorized):
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    findings = [found.document() for found in refusal.findings] if isinstance(refusal, PreflightFailed) else None
    return problem(
        refusal.status, refusal.code, refusal.message, param=refusal.param, findings=findings, headers=headers
    )


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(shown_name(str(part)) for part in location)


def shown_name(name: str) -> str:
    """`name` where an answer may repeat it, else a stand-in: what looks like no name could be a secret in the wrong place."""
    return name if _NAME.match(name) else "(not a name)"


def _explained(where: str, found: ErrorDetails, kind: type[BaseModel]) -> str:
    """The value that was sent is looked at for the nearest name there is, never told."""
    location = found["loc"]
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    field = fields.get(str(location[0])) if len(location) == 1 else None
    if found["type"] == "extra_forbidden":
        near = nearest_of(str(location[-1]), list(fields)) if len(location) == 1 else ""
        there_is = f"; there are {', '.join(fields)}" if fields and len(location) == 1 else ""
        return f"is unknown in this {where}{near or there_is}"
    bounds = {} if field is None else _bounds(field)
    example = None if field is None else next(iter(field.examples or ()), None)
    context, is_whole = found.get("ctx") or {}, field is not None and field.annotation is int
    return accepted(
        found["type"], found["msg"], context, bounds=bounds, is_whole=is_whole, example=example, given=found["input"]
    )


def _bounds(field: FieldInfo) -> dict[str, float]:
    """The least and the greatest of a number, as the field says."""
    told = [(name, getattr(rule, name, None)) for rule in field.metadata for name in ("ge", "gt", "le", "lt")]
    return {name: limit for name, limit in told if isinstance(limit, int | float)}
