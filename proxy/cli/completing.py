"""What the shell may put in behind a verb: names and ids that the server has, and words that there are few of.

Chosen by a parameter's name, so that a new verb with an AGENT completes agents without another line. Whoever presses the key waits:
a server that does not answer at once has nothing to offer, and no failure is shown.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

import typer

from proxy.cli.admin_client import AdminClient, Document, connect, segment
from proxy.cli.failures import CommandFailed
from proxy.cli.version_names import LATEST

_PATIENCE_SECONDS = 1.5
_MOST = 200
_NUMBERS = ("version", "candidate", "to", "fallback_version", "before", "after", "start", "parent")
_BY = "by_"
_OF = "_of"

Completion = Callable[[typer.Context, str], list[str]]


def completion_of(name: str, *, is_number: bool) -> Completion | None:
    """What completes the parameter of that name; None: nothing but files, as shells do. `is_number`: a label will not do."""
    name = name.removeprefix(_BY)
    if name in _LISTS:
        return lambda ctx, incomplete: _that_begin(incomplete, _LISTS[name], ctx)
    if name in _NUMBERS or name.endswith(_OF):
        read = _numbers if is_number else _versions
        return lambda ctx, incomplete: _that_begin(incomplete, read, ctx)
    if name in _WORDS:
        return lambda ctx, incomplete: [word for word in _WORDS[name]() if word.startswith(incomplete)]
    return None


def _that_begin(incomplete: str, read: Callable[[AdminClient, Any], list[str]], ctx: typer.Context) -> list[str]:
    said = ctx.params
    file = said.get("token_file")
    with contextlib.suppress(CommandFailed, UnicodeError):
        api = connect(said.get("admin_url"), None if file is None else Path(file), os.environ, _PATIENCE_SECONDS)
        return [name for name in read(api, _agent(ctx)) if name.startswith(incomplete)]
    return []


def _agent(ctx: typer.Context) -> str | None:
    """The agent that the line names so far."""
    named = ctx.params.get("agent") or ctx.params.get("by_agent")
    if named is not None or not ctx.args:
        return named
    # Behind an option that has no value yet, the words in front of it were not given to the arguments.
    first = next((one for one in ctx.command.params if one.param_type_name == "argument"), None)
    return ctx.args[0] if first is not None and first.name == "agent" else None


def _members(api: AdminClient, path: str, member: str) -> list[str]:
    return [str(item.get(member)) for item in cast("list[Document]", api.items(path, _MOST)["items"])]


def _of_agent(kind: str, member: str) -> Callable[[AdminClient, str | None], list[str]]:
    return lambda api, agent: [] if agent is None else _members(api, f"/agents/{segment(agent)}/{kind}", member)


def _of_all(kind: str, member: str = "id") -> Callable[[AdminClient, str | None], list[str]]:
    return lambda api, _: _members(api, f"/{kind}", member)


_LISTS = {
    "agent": _of_all("agents", "agent"),
    "label": _of_agent("labels", "label"),
    "default_label": _of_agent("labels", "label"),
    "rollout": _of_agent("rollouts", "id"),
    "proposal": _of_agent("proposals", "id"),
    "release": _of_agent("releases", "release"),
    "if_release": _of_agent("releases", "release"),
    "undoes": _of_agent("releases", "release"),
    "run": _of_all("runs"),
    "switch": _of_all("switches"),
    "cap": _of_all("caps"),
    "named_plan": _of_all("plans", "name"),
    "token": _of_all("tokens"),
}
_numbers = _of_agent("versions", "version")


def _versions(api: AdminClient, agent: str | None) -> list[str]:
    """By any of their names."""
    return [] if agent is None else [*_numbers(api, agent), *_LISTS["label"](api, agent), LATEST]


def _roles() -> tuple[str, ...]:
    from proxy.core.tokens import Role  # noqa: PLC0415

    return get_args(Role)


def _movers() -> tuple[str, ...]:
    from proxy.core.releasing.protection import Mover  # noqa: PLC0415

    return get_args(Mover)


def _results() -> tuple[str, ...]:
    from proxy.core.calls.runs import RunResult  # noqa: PLC0415

    return get_args(RunResult)


def _cap_words(kind: str) -> Callable[[], tuple[str, ...]]:
    def read() -> tuple[str, ...]:
        from proxy.core.spending import caps  # noqa: PLC0415

        return get_args(getattr(caps, kind))

    return read


def _outcome_words(kind: str) -> Callable[[], tuple[str, ...]]:
    def read() -> tuple[str, ...]:
        from proxy.core.calls import outcomes  # noqa: PLC0415

        return cast("tuple[str, ...]", getattr(outcomes, kind))

    return read


#: Looked up when the key is pressed, so that no verb waits for the modules.
_WORDS: dict[str, Callable[[], tuple[str, ...]]] = {
    "role": _roles,
    "who_may_move": _movers,
    "result": _results,
    "arm": lambda: ("stable", "candidate"),
    "unit": _cap_words("CapUnit"),
    "window": _cap_words("CapWindow"),
    "at_limit": _cap_words("AtLimit"),
    "severity": _outcome_words("SEVERITIES"),
    "file_format": lambda: ("jsonl", "csv"),
    "unapplied": lambda: ("refuse", "pass"),
}
