"""The paths that need no token, for the description: what machines look at, and what the API says of itself to anybody."""

from typing import Any, cast

from proxy.edges.admin.answers.problems import Marker
from proxy.edges.admin.contract.problem_responses import ProblemResponses
from proxy.edges.admin.contract.schemas import reference
from proxy.runtime.reports.process import Readiness

#: What they answer, beside texts.
OPEN_CONTENTS = (Marker, Readiness)
_REFUSALS = ("bad_http", "method_not_allowed", "wrong_host", "expectation_failed", "head_too_large", "internal_error")
_JSON, _TEXT = "application/json", "text/plain"


def open_paths(marker_path: str, responses: ProblemResponses) -> dict[str, dict[str, Any]]:
    """Their operations, with HEAD where GET is."""
    problems = responses.of(_REFUSALS)
    marker = _get("get_marker", "Which API this is", "Its name", reference("Marker"), problems)
    livez = _get(
        "get_liveness", "Whether the process answers", "ok", {"type": "string", "examples": ["ok\n"]}, problems, _TEXT
    )
    readyz = _get("get_readiness", "Whether calls can be taken", "They can", reference("Readiness"), problems)
    readyz["responses"]["503"] = {**readyz["responses"]["200"], "description": "They cannot; `reasons` say why"}
    metrics = _get(
        "get_metrics", "Metrics in Prometheus's text format", "The metrics", {"type": "string"}, problems, _TEXT
    )
    paths = {marker_path: marker, "/livez": livez, "/readyz": readyz, "/metrics": metrics}
    return {path: {"get": get, "head": head_of(get)} for path, get in paths.items()}


def _get(
    operation: str, summary: str, answer: str, schema: dict[str, Any], problems: dict[str, Any], media: str = _JSON
) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["open"],
        "security": [],
        "parameters": [],
        "responses": {
            "200": {"description": answer, "content": {media: {"schema": schema}}},
            **problems,
        },
    }


def head_of(operation: dict[str, Any]) -> dict[str, Any]:
    """HEAD where GET is: the same head without the content."""
    responses = cast("dict[str, dict[str, Any]]", operation["responses"])
    bare = {
        status: {name: told for name, told in response.items() if name != "content"}
        for status, response in responses.items()
    }
    return {**operation, "operationId": f"head_{operation['operationId'].removeprefix('get_')}", "responses": bare}
