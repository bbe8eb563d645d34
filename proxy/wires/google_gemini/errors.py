"""Refusals as Google tells errors: a code that is the status, a word for it, a message, and details.

Protocol fact: the SDKs raise by the status and show `message` and `status`; `google.rpc.ErrorInfo` is where a stable reason stands.
"""

from typing import Final

import orjson

from proxy.core.errors import Refusal

_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"


def error_body(refusal: Refusal, request_id: str) -> bytes:
    """`{"error": {code, message, status, details: [{"@type": ErrorInfo, reason, domain, metadata}]}}`."""
    otherwise = "INTERNAL" if refusal.status >= 500 else "FAILED_PRECONDITION"
    info = {
        "@type": _ERROR_INFO,
        "reason": refusal.code,
        "domain": "switchback",
        "metadata": {"request_id": request_id},
    }
    error = {
        "code": refusal.status,
        "message": refusal.message,
        "status": _STATUSES.get(refusal.status, otherwise),
        "details": [info],
    }
    return orjson.dumps({"error": error})
