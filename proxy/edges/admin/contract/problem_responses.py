"""Refusals as the description shows them: one answer for each status and what it can be about, an example for each code."""

from collections.abc import Sequence
from typing import Any

from proxy.edges.admin.contract.refusals import REFUSALS
from proxy.edges.admin.contract.schemas import Schema, reference

_HEADERS: dict[int, Schema] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}},
    405: {"Allow": {"description": "the methods there are", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}},
}


class ProblemResponses:
    """The answers that are refusals; operations with the same codes share one."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, tuple[str, ...]], str] = {}

    def of(self, codes: Sequence[str]) -> dict[str, Any]:
        """References by status, in the order of their numbers."""
        by_status: dict[int, list[str]] = {}
        for code in codes:
            by_status.setdefault(REFUSALS[code].status, []).append(code)
        return {str(status): self._reference(status, tuple(found)) for status, found in sorted(by_status.items())}

    def components(self) -> dict[str, Any]:
        """What the references given so far lead to."""
        return {name: _response(status, codes) for (status, codes), name in self._names.items()}

    def _reference(self, status: int, codes: tuple[str, ...]) -> dict[str, str]:
        alike = sum(known == status for known, _ in self._names)
        own = f"Problem{status}" if alike == 0 else f"Problem{status}_{alike + 1}"
        return {"$ref": f"#/components/responses/{self._names.setdefault((status, codes), own)}"}


def problem_examples() -> dict[str, Any]:
    """A problem document for each code."""
    return {code: {"summary": told.meaning, "value": told.document(code)} for code, told in REFUSALS.items()}


def _response(status: int, codes: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {REFUSALS[code].meaning}" for code in codes),
        "content": {
            "application/problem+json": {
                "schema": reference("Problem"),
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }
    if status in _HEADERS:
        told["headers"] = _HEADERS[status]
    return told
