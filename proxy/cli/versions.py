"""`switchback versions`: immutable numbered bundles of an agent's behaviour, and which of them was served when.

`version_body.py` makes the body of a new one. Counterpart: `/agents/{agent}/versions` of the admin API.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from proxy.cli import version_options as options
from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import AgentName, Limit, admin_command, new_group
from proxy.cli.failures import EXIT_FAILED, EXIT_USAGE, CommandFailed
from proxy.cli.showing import Columns, Show, member, moment
from proxy.cli.telling import note, say, say_block, say_exactly
from proxy.cli.times import time_ago
from proxy.cli.version_body import VersionOptions, recorded_apart, says_nothing, version_body
from proxy.cli.version_names import version_number
from proxy.core.versions.recorded import remark_on

commands = new_group(no_args_is_help=True, help="Versions of an agent: create, list, show, and what was served when.")


def _serves(version: Document) -> str:
    return ", ".join(_served(one) for one in cast("list[Document]", version.get("serves") or []))


def _served(one: Document) -> str:
    """A label, with the share where a rollout has it: `prod`, `prod 10% (r3)`; a switch that falls back to the version."""
    if one.get("switch"):
        return f"fallback of {one['switch']}"
    share = "" if one.get("rollout") is None else f" {one.get('percentage', 0):g}% ({one['rollout']})"
    return f"{one.get('label')}{share}"


VERSIONS: Columns = {
    "VERSION": member("version"),
    "SERVES": _serves,
    "TIME": moment("created_at"),
    "AUTHOR": member("author"),
    "PARENT": member("parent"),
    "ID": lambda version: str(version.get("version_id") or "")[:12],
    "MESSAGE": member("message"),
}

#: What a narrow terminal does without.
_SPARE = (("AUTHOR",), ("ID", "PARENT"))

VersionName = Annotated[str, typer.Argument(metavar="VERSION", help="Its number, a label, or `latest`.")]


@admin_command(commands, "list", "switchback versions list support-triage")
def list_versions(api: AdminClient, show: Show, agent: AgentName, limit: Limit = 50) -> None:
    """List an agent's versions, newest first, with the labels and fallbacks that each serves now."""
    page = api.items(f"/agents/{segment(agent)}/versions", limit)
    none = f"no versions yet: switchback versions create {agent} --prompt-file FILE"
    show.items(page, VERSIONS, none, spare=_SPARE)


@admin_command(
    commands,
    "show",
    "switchback versions show support-triage 7",
    "switchback versions show support-triage prod --prompt-only > prompt.md",
)
def show_version(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    version: VersionName,
    prompt_only: Annotated[
        bool, typer.Option("--prompt-only", help="Print only the text of the prompt, or its messages.")
    ] = False,
) -> None:
    """Show a version with all its components."""
    found = api.get(_path(agent, version_number(api, agent, version)))
    prompt: Any = found.get("prompt") or {}
    if prompt_only and not show.as_json:
        messages: Any = prompt.get("messages")
        say_exactly(_as_json(messages) if messages else str(prompt.get("text", "")))
        return
    if show.as_json:
        show.document(found)
        return
    plain = {**found, "prompt": {name: value for name, value in prompt.items() if name not in ("text", "messages")}}
    show.fields(plain, remark_on)
    texts = {"prompt.text": prompt.get("text")}
    for index, message in enumerate(cast("list[Document]", prompt.get("messages") or [])):
        texts[f"prompt.messages[{index}] ({message.get('role')})"] = message.get("text")
    for path, text in texts.items():
        if text:
            say("")
            say(f"{path}:")
            say_block(text)


def _as_json(messages: Any) -> str:
    """As `--messages-file` takes them."""
    return json.dumps(messages, ensure_ascii=False, indent=2) + "\n"


@admin_command(
    commands,
    "create",
    "switchback versions create support-triage --prompt-file prompt.md --model gpt-4o-mini --temperature 0.2",
    "switchback versions create support-triage --from 7 --prompt-file new.md --message 'shorter answers'",
    "switchback versions create support-triage --from 9 --tools-of 5 --message 'prompt of 9 with tools of 5'",
    role="author",
)
def create_version(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    prompt: options.PromptText = None,
    prompt_file: options.PromptFile = None,
    messages_file: options.MessagesFile = None,
    mode: options.PromptMode = None,
    variable: options.Variables = None,
    provider: options.Provider = None,
    model: options.ModelName = None,
    temperature: options.Temperature = None,
    max_output_tokens: options.MaxOutputTokens = None,
    parameter: options.Parameters = None,
    tools_file: options.ToolsFile = None,
    tools_mode: options.ToolsMode = None,
    retrieval_file: options.RetrievalFile = None,
    policy_file: options.PolicyFile = None,
    policy: options.PolicyKeys = None,
    tested_against: options.TestedAgainst = None,
    message: options.Message = "",
    parent: options.Parent = None,
    start: options.Start = None,
    prompt_of: options.PromptOf = None,
    model_of: options.ModelOf = None,
    tools_of: options.ToolsOf = None,
    retrieval_of: options.RetrievalOf = None,
    policy_of: options.PolicyOf = None,
) -> None:
    """Create a version. It serves nobody before a label points to it.

    What is not said is that of the newest version, or of the one that --from names; --from none begins with nothing. Content
    identical to the newest version makes no new one.
    """
    said = VersionOptions(
        prompt=prompt, prompt_file=prompt_file, messages_file=messages_file, mode=mode, variables=variable or (),
        provider=provider, model=model, temperature=temperature, max_output_tokens=max_output_tokens,
        parameters=parameter or (), tools_file=tools_file, tools_mode=tools_mode, retrieval_file=retrieval_file,
        policy_file=policy_file, policy=policy or (), tested_against=tested_against or (),
    )  # fmt: skip
    numbers = {
        "prompt": prompt_of, "model": model_of, "tools": tools_of, "retrieval": retrieval_of, "policy": policy_of,
    }  # fmt: skip
    if says_nothing(said) and start is None and not any(numbers.values()):
        raise CommandFailed("say what the version shall be: --prompt-file, --model, --from … (see --help)", EXIT_USAGE)
    # Read before the new one is sent, so that somebody who was quicker makes a conflict instead of being overlooked.
    newest = api.get(f"/agents/{segment(agent)}").get("newest_version") if parent is None else parent
    begun = cast("int | None", newest) if start is None else _start(start)
    start_from = _components(api, agent, {kind: number or begun for kind, number in numbers.items()})
    body, moved = recorded_apart(version_body(said, start_from), start_from)
    if moved:
        note(f"nothing reads {', '.join(f'policy.{key}' for key in moved)}: now in policy.recorded, which says so")
    inherited = f" (what was not said is that of version {begun})" if begun is not None and start is None else ""
    status, made = api.request(
        "POST", f"/agents/{segment(agent)}/versions", {**body, "parent": newest, "message": message}
    )
    number = made.get("version")
    if status == 201:
        show.document(
            made, f"created version {number} of {agent}{inherited}; next: switchback label {agent} LABEL {number}"
        )
    else:
        show.document(made, f"nothing changed: version {number} of {agent} has the same content already")


@admin_command(commands, "check", "switchback versions check support-triage 8 --label prod")
def check_version(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    version: VersionName,
    label: Annotated[
        str | None, typer.Option(metavar="TEXT", help="For which label [the agent's default label].")
    ] = None,
) -> None:
    """Tell what would go wrong if a label served a version: the preflight that a move or rollout makes. Exit code 1 if anything."""
    checked = api.get(
        f"/agents/{segment(agent)}/versions/{version_number(api, agent, version)}/preflight", {"label": label}
    )
    found = cast("list[Document]", checked.get("findings") or [])
    lines = [f"{finding.get('code')}: {finding.get('message')}" for finding in found]
    lines = lines or [f"nothing found: {checked.get('label')} can serve version {checked.get('version')}"]
    show.document(checked, *lines, *(f"note: {notice}" for notice in cast("list[str]", checked.get("notices") or [])))
    if found:
        raise typer.Exit(EXIT_FAILED)


@admin_command(
    commands,
    "at",
    "switchback versions at support-triage --label prod --time 2026-09-20T14:03Z",
)
def served_at(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: Annotated[str | None, typer.Option(metavar="TEXT", help="Which label [the agent's default label].")] = None,
    time: Annotated[
        str | None, typer.Option(metavar="TIME", help="When: 15m, 2h or 7d ago, a date, or RFC 3339 [now].")
    ] = None,
) -> None:
    """Tell what a label served at a moment, percentages of a rollout included: from the release ledger alone."""
    served = api.get(f"/agents/{segment(agent)}/versions/at", {"label": label, "time": time and time_ago(time)})
    arms = cast("list[Document]", served.get("arms") or [])
    eligible = cast("dict[str, str]", served.get("eligible") or {})
    said = [f"{agent}: {served.get('label')} at {served.get('time')}"]
    for arm in arms:
        share = cast("float", arm.get("percentage") or 0)
        said.append(f"{share:.3f}".rstrip("0").rstrip(".") + f"% version {arm.get('version')} ({arm.get('name')})")
    if eligible:
        tags = ", ".join(f"{tag}={value}" for tag, value in eligible.items())
        said.append(f"shared only by calls tagged {tags}; all others were served by {arms[0].get('name')}")
    rollout = f", rollout {served.get('rollout')}" if served.get("rollout") else ""
    said.append(
        f"release {served.get('release')} ({served.get('kind')}{rollout}) by {served.get('who')}: {served.get('why')}"
    )
    said.append(f"in force from {served.get('since')} to {served.get('until') or 'now'}")
    if served.get("uncertain") is True:
        said.append(f"UNCERTAIN: {served.get('uncertain_reason')}")
    show.document(served, *said)


def _start(name: str) -> int | None:
    """The version that --from names, None for `none`."""
    if name == "none":
        return None
    if not (name.isascii() and name.isdigit() and int(name)):
        raise CommandFailed(f"--from takes the number of a version, or none, not {name!r}", EXIT_USAGE)
    return int(name)


def _components(api: AdminClient, agent: str, numbers: Mapping[str, int | None]) -> Document:
    """Each component from the version that is named for it."""
    wanted = {number for number in numbers.values() if number is not None}
    versions = {number: api.get(_path(agent, number)) for number in sorted(wanted)}
    return {kind: None if number is None else versions[number].get(kind) for kind, number in numbers.items()}


def _path(agent: str, version: int) -> str:
    return f"/agents/{segment(agent)}/versions/{version}"
