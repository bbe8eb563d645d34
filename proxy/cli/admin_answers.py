"""What an answer of the admin API says beside its result: why it refuses, what to do about it, what to be warned of.

Counterpart of edges/admin/problems.py. The way there and back is admin_client.py's.
"""

import json
from typing import Any, cast

from proxy.cli.failures import EXIT_CONFLICT, EXIT_FAILED, CommandFailed
from proxy.cli.lost_answers import AnswerLost

Document = dict[str, Any]

#: A fault of the server's own, which leaves open what was written.
_FAILED_STATUS = 500
#: What a refusal means on the command line, by its code.
_HINTS = {
    "unauthorized": "name the token file of the server you speak to with --token-file",
    "token_expired": "here that is `switchback tokens create`; name its file with --token-file",
    "evaluation_required": "here that is --evaluation ID",
    "nothing_to_roll_back": "here that is --to VERSION",
}
#: The same where the store is away, by the member that would help.
_HINTS_AWAY = {"to": "here that is --to VERSION", "undoes": "here that is --undoes RELEASE"}
_JOURNALLED = "this is in force and kept in the journal; it enters store and audit log when the store can take it"


def document_of(content: bytes) -> Document | None:
    """The object in the body of an answer; None where there is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return cast("Document", value) if isinstance(value, dict) else None


def code_of(document: Document | None) -> str | None:
    """The stable code of a refusal: of the admin API, or in the shape that LLM calls are refused in."""
    error: Any = document if document is None or "error" not in document else document["error"]
    code = cast("Document", error).get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def warnings_of(document: Document) -> list[str]:
    """What an answer says beside its result."""
    found: list[str] = []
    stragglers = document.get("stragglers")
    if isinstance(stragglers, list) and stragglers:
        names = ", ".join(str(name) for name in cast("list[Any]", stragglers))
        found.append(f"not confirmed yet by {names}: calls they take may still see what was before")
    if document.get("journalled") is True:
        found.append(_JOURNALLED)
    several = document.get("warnings")
    if isinstance(several, list):
        found += [f"warning: {said}" for said in cast("list[Any]", several)]
    if isinstance(document.get("warning"), str):
        found.append(f"warning: {document['warning']}")
    return found


def refused(origin: str, status: int, document: Document | None) -> CommandFailed:
    """The refusal in an answer of the server at `origin`, with what it means on the command line."""
    code = code_of(document)
    if document is None or code is None:
        problem = f"{origin} does not answer like the admin API (status {status}); check --admin-url"
        may_have_it = status >= 500 or status < 300
        return (AnswerLost if may_have_it else CommandFailed)(problem, EXIT_FAILED, status=status)
    detail = str(document.get("detail") or document.get("title") or f"status {status}")
    hint = _HINTS_AWAY.get(str(document.get("param"))) if code == "store_unavailable" else _HINTS.get(code)
    if hint is not None:
        detail += f"; {hint}"
    found: Any = document.get("findings")
    findings = cast("list[Document]", found) if isinstance(found, list) else ()
    if status == _FAILED_STATUS:
        return AnswerLost(detail, EXIT_FAILED, code, status=status)
    return CommandFailed(detail, EXIT_CONFLICT if status == 409 else 1, code, status=status, findings=findings)
