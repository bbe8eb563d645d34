"""What somebody may have meant by a name that is none: the nearest of those there are, asked of the server after it refused.

Only where one is near is it said; a look that fails says nothing, so that the refusal itself stays what is told.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, cast

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.failures import CommandFailed
from proxy.cli.version_names import LATEST
from proxy.core.nearest import did_you_mean

_ALL = 10_000
#: How many outcomes are looked at for the names in use.
_RECENT = 200
#: What runs of calls that name no agent are listed under.
_UNASSIGNED = "unassigned"
#: What verbs call an argument that names a label, or a version by its label; of numbers the server says which there are.
_NAMES = ("label", "version", "before", "after")


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


def warn_of_slips(api: AdminClient, asked: Mapping[str, Any]) -> None:
    """Where nothing was found for filters: say which of the agent, version, label, release, rollout, run or outcome's name that
    were asked for there is none of, so that a slip does not read as silence. A look that fails says nothing."""
    with contextlib.suppress(CommandFailed):
        problem = _slip(api, {name: value for name, value in asked.items() if value is not None})
        if problem is not None:
            api.warnings.append(f"warning: {problem}")


def warn_of_own_name(api: AdminClient, name: str) -> None:
    """Where an outcome was told under a name of one's own that is nearly one that reports and rollouts read, say so: nobody would
    look for it there."""
    # Here, so that no other verb waits for this module.
    from proxy.core.calls.outcomes import FIXED_NAMES  # noqa: PLC0415

    hint = None if name in FIXED_NAMES else did_you_mean(name, FIXED_NAMES)
    if hint is not None:
        api.warnings.append(f"warning: {name!r} is a name of your own; {hint}")


def _slip(api: AdminClient, asked: Mapping[str, Any]) -> str | None:
    run, agent, name = asked.get("run"), asked.get("agent"), asked.get("name")
    if run is not None and (missing := _missing(api, f"/runs/{segment(run)}", "run_not_found", asked)):
        return missing
    if agent is not None and agent != _UNASSIGNED:
        path = f"/agents/{segment(agent)}"
        slip = _missing(api, path, "agent_not_found", asked) or _slip_of_agent(api, agent, path, asked)
        if slip is not None:
            return slip
    if name is None:
        return None
    # Here, so that no verb waits for these modules that finds something.
    from proxy.core.calls.outcomes import FIXED_NAMES  # noqa: PLC0415

    known = [*FIXED_NAMES, *_members(api.items("/outcomes", _RECENT), "name")]
    hint = None if name in known else did_you_mean(name, known)
    return hint and f"no outcome of late is named {name!r}; {hint}"


def _slip_of_agent(api: AdminClient, agent: str, path: str, asked: Mapping[str, Any]) -> str | None:
    """Of names and numbers that count per agent, the first there is none of."""
    version, label, release, rollout = (asked.get(name) for name in ("version", "label", "release", "rollout"))
    if version is not None and (missing := _missing(api, f"{path}/versions/{version}", "version_not_found", asked)):
        return missing
    if label is not None and not api.items(f"{path}/releases", 1, {"label": label})["items"]:
        hint = did_you_mean(label, _names(api, f"{path}/labels", "label"))
        return f"{agent} has no label {label!r}" + (f"; {hint}" if hint else "")
    if release is not None:
        newest = next(iter(_members(api.items(f"{path}/releases", 1), "release")), "0")
        if not 1 <= release <= int(newest):
            return f"{agent} has no release {release}; " + (
                "the newest is " + newest if newest != "0" else "it has none yet"
            )
    if rollout is not None:
        return _missing(api, f"{path}/rollouts/{segment(rollout)}", "rollout_not_found", asked)
    return None


def _missing(api: AdminClient, path: str, code: str, asked: Mapping[str, Any]) -> str | None:
    """What the server says where there is nothing at `path`, with the nearest there is."""
    try:
        api.get(path)
    except CommandFailed as failed:
        return with_nearest(api, failed, asked).message if failed.code == code else None
    return None


def _hint(api: AdminClient, code: str | None, agent: str, arguments: Mapping[str, Any]) -> str | None:
    path = f"/agents/{segment(agent)}"
    match code:
        case "agent_not_found":
            return did_you_mean(agent, _names(api, "/agents", "agent"))
        case "label_not_set" | "version_not_found":
            given = [str(arguments[name]) for name in _NAMES if arguments.get(name) is not None]
            known = [*_names(api, f"{path}/labels", "label"), LATEST]
            wrong = [name for name in given if not name.isdigit() and name not in known]
            return did_you_mean(wrong[0], known) if wrong else None
        case "rollout_not_found" | "proposal_not_found":
            newest = _members(api.items(f"{path}/{code.partition('_')[0]}s", 1), "id")
            return f"the newest is {newest[0]}" if newest else "it has none yet"
        case "plan_not_found":
            return did_you_mean(str(arguments.get("plan")), _names(api, "/plans", "name"))
        case _:
            return None


def _names(api: AdminClient, path: str, member: str) -> list[str]:
    return _members(api.items(path, _ALL), member)


def _members(page: Document, member: str) -> list[str]:
    return [str(item.get(member)) for item in cast("list[Document]", page["items"])]
