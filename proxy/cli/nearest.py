"""What somebody may have meant by a name that is none: the nearest of those there are, asked of the server after it refused.

Only where one is near is it said; a look that fails says nothing, so that the refusal itself stays what is told.
"""

import difflib
from collections.abc import Mapping
from typing import Any, cast

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.failures import CommandFailed
from proxy.cli.version_names import LATEST

_ALL = 10_000
#: What runs of calls that name no agent are listed under.
_UNASSIGNED = "unassigned"
#: What verbs call an argument that names a label, or a version by its label; of numbers the server says which there are.
_NAMES = ("label", "version", "before", "after")
_CUTOFF = 0.6


def with_nearest(api: AdminClient, failed: CommandFailed, arguments: Mapping[str, Any]) -> CommandFailed:
    """The failure with `did you mean …?` behind its message, where a name in a verb's arguments is nearly one there is."""
    agent = arguments.get("agent")
    if not isinstance(agent, str):
        return failed
    try:
        hint = _hint(api, failed.code, agent, arguments)
    except CommandFailed:
        return failed
    if hint is None:
        return failed
    return CommandFailed(f"{failed.message}; {hint}", failed.exit_code, failed.code, status=failed.status)


def warn_of_no_agent(api: AdminClient, agent: str | None) -> None:
    """Where nothing was found for a filter by agent: say so if there is no such agent, so that a slip does not read as silence."""
    if agent is None or agent == _UNASSIGNED:
        return
    try:
        api.get(f"/agents/{segment(agent)}")
    except CommandFailed as failed:
        if failed.code == "agent_not_found":
            api.warnings.append(f"warning: {with_nearest(api, failed, {'agent': agent}).message}")


def _hint(api: AdminClient, code: str | None, agent: str, arguments: Mapping[str, Any]) -> str | None:
    match code:
        case "agent_not_found":
            return _nearest(agent, _names(api, "/agents", "agent"))
        case "label_not_set" | "version_not_found":
            given = [str(arguments[name]) for name in _NAMES if arguments.get(name) is not None]
            labels = _names(api, f"/agents/{segment(agent)}/labels", "label")
            known = [*labels, LATEST]
            wrong = [name for name in given if not name.isdigit() and name not in known]
            return _nearest(wrong[0], known) if wrong else None
        case _:
            return None


def _names(api: AdminClient, path: str, member: str) -> list[str]:
    return [str(item.get(member)) for item in cast("list[Document]", api.items(path, _ALL)["items"])]


def _nearest(given: str, known: list[str]) -> str | None:
    close = difflib.get_close_matches(given, known, n=1, cutoff=_CUTOFF)
    return f"did you mean {close[0]}?" if close else None
