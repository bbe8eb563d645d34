"""What became of a change whose answer did not come: asked of the server by the id that the change was sent with.

A server that is being restarted is asked again for a while. Counterpart: `/changes/{id}` of the admin API; an id that it never saw is
given up there by asking, so that what is told here stays true.
"""

import time
from collections.abc import Callable
from typing import Any, cast

from proxy.cli.failures import EXIT_CHANGED, EXIT_UNKNOWN, EXIT_UNREACHABLE, CommandFailed

Document = dict[str, Any]

#: How long one question may take; the server waits a while itself for a change that still goes on.
QUESTION_SECONDS = 8.0
_PATIENCE_SECONDS = 15.0
_PAUSE_SECONDS = 0.5
#: Later facts about runs are not in the audit log: a server that was restarted cannot tell whether it had them.
_UNAUDITED = "/outcomes"


class AnswerLost(CommandFailed):
    """A request was sent, and no answer came back, or none that tells what became of it."""


def what_became(lost: AnswerLost, path: str, ask: Callable[[], Document]) -> CommandFailed:
    """The failure to raise in place of `lost`: changed, not changed or unknown, each with its exit code."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            told = ask()
        except CommandFailed as failed:
            told, is_final = Document(), failed.exit_code != EXIT_UNREACHABLE
        else:
            is_final = told.get("result") in ("changed", "not_changed")
        if is_final or time.monotonic() + _PAUSE_SECONDS > deadline:
            return _told(lost, path, told)
        time.sleep(_PAUSE_SECONDS)


def _told(lost: AnswerLost, path: str, told: Document) -> CommandFailed:
    result = told.get("result")
    if result == "changed":
        made = [
            f"{entry.get('what')} {entry.get('subject')} (audit entry {entry.get('number')})"
            for entry in cast("list[Document]", told.get("entries") or [])
        ]
        problem = f"{lost.message}, but the change was made{': ' if made else ''}{', '.join(made)}"
        return CommandFailed(problem, EXIT_CHANGED, status=lost.status)
    if result == "not_changed" and not (path.endswith(_UNAUDITED) and told.get("by") == "audit"):
        return CommandFailed(f"{lost.message}; nothing was changed", lost.exit_code, "not_changed", status=lost.status)
    problem = f"{lost.message}; whether the change was made is not known, look before repeating"
    return CommandFailed(problem, EXIT_UNKNOWN, status=lost.status)
