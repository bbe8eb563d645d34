"""A refusal as OpenAI's own error JSON, which all of its wires share."""

from typing import Any, Final

from proxy.core.errors import Refusal

_TYPES: Final = {
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


def error_of(refusal: Refusal) -> dict[str, Any]:
    """`{message, type, param, code}`; the request id travels in the headers alone."""
    kind = "server_error" if refusal.status >= 500 else _TYPES.get(refusal.status, "invalid_request_error")
    return {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
