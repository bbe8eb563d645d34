"""`switchback agents import`: a prompt kept elsewhere becomes a version of an agent.

Options and the conversation with the server; what a foreign format means stands in importers/, which is imported when the verb
runs. What could not be taken over is always told, with or without `--dry-run`.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import admin_command
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.git_verbs import all_told
from proxy.cli.showing import Show
from proxy.cli.strict_json import strict_json
from proxy.cli.telling import say_block
from proxy.cli.version_body import read_text


class ImportFormat(StrEnum):
    """Where the file comes from."""

    OPENAI = "openai"
    LANGFUSE = "langfuse"
    LITELLM = "litellm"


def register(agents: typer.Typer) -> None:
    """Add `import` to the group of agents."""
    admin_command(
        agents,
        "import",
        "switchback agents import prompt.json --agent support-triage --dry-run",
        "switchback agents import prompts/hello.prompt --agent hello",
        role="author",
    )(import_prompt)


def import_prompt(
    api: AdminClient,
    show: Show,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="OpenAI or Langfuse prompt (JSON), or LiteLLM .prompt.")],
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="The agent it becomes a version of [by its name in the file].")
    ] = None,
    file_format: Annotated[
        ImportFormat | None,
        typer.Option(
            "--format",
            metavar="TEXT",
            help="openai, langfuse or litellm: where the file comes from [told by its content].",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be created, change nothing.")] = False,
) -> None:
    """Create a version from a prompt kept elsewhere, and the agent if there is none. It serves nobody yet.

    Everything the file holds that a version does not is listed.
    """
    # Heavy: the checks of a version, which only this verb needs on this side.
    from proxy.cli.importers.imported import CannotImport, Importer  # noqa: PLC0415
    from proxy.cli.importers.langfuse_prompt import import_langfuse  # noqa: PLC0415
    from proxy.cli.importers.litellm_prompt import import_litellm  # noqa: PLC0415
    from proxy.cli.importers.openai_prompt import import_openai  # noqa: PLC0415

    importers: dict[ImportFormat, Importer] = {
        ImportFormat.OPENAI: import_openai,
        ImportFormat.LANGFUSE: import_langfuse,
        ImportFormat.LITELLM: import_litellm,
    }
    content = read_text(file)
    try:
        imported = importers[file_format or told_format(content, file.name)](content, file.name)
    except CannotImport as cannot:
        problems = [problem.removeprefix(f"{file.name}: ") for problem in cannot.problems]
        raise all_told([f"{file}: {problem}" for problem in problems]) from None
    name = agent or imported.agent_name_hint
    if name is None:
        raise CommandFailed("the file names no agent; say --agent NAME", EXIT_USAGE)
    result: Document = {"agent": name, "dry_run": dry_run, "version": None, "created": False, "created_agent": False}
    if not dry_run:
        result |= _create(api, name, imported.body, f"imported from {file.name}")
    result |= {"unknown": dict(imported.unknown), "notes": list(imported.notes), "body": imported.body}
    show.document(result, *_lines(result))
    if dry_run and not show.as_json:
        say_block(json.dumps(imported.body, indent=2, ensure_ascii=False))


def told_format(content: str, file_name: str) -> ImportFormat:
    """By the file's name, else by members that only Langfuse has."""
    if file_name.endswith(".prompt"):
        return ImportFormat.LITELLM
    try:
        value: Any = strict_json(content)
    except ValueError:
        return ImportFormat.LITELLM if content.lstrip("\ufeff").startswith("---") else ImportFormat.OPENAI
    while isinstance(value, list) and value:
        value = cast("list[Any]", value)[0]
    members = cast("Document", value) if isinstance(value, dict) else {}
    is_langfuse = isinstance(members.get("prompt"), str | list) or members.get("type") in ("text", "chat")
    return ImportFormat.LANGFUSE if is_langfuse else ImportFormat.OPENAI


def _create(api: AdminClient, name: str, body: Document, why: str) -> Document:
    path = f"/agents/{segment(name)}"
    created_agent = False
    try:
        newest = api.get(path).get("newest_version")
    except CommandFailed as failed:
        if failed.code != "agent_not_found":
            raise
        api.post("/agents", {"agent": name, "why": why})
        newest, created_agent = None, True
    status, made = api.request("POST", f"{path}/versions", {**body, "parent": newest})
    return {"version": made.get("version"), "created": status == 201, "created_agent": created_agent}


def _lines(result: Document) -> list[str]:
    name, version = result["agent"], result["version"]
    if result["dry_run"]:
        first = f"dry run, nothing was changed; a version of {name} would be:"
    elif result["created"]:
        first = f"created version {version} of {name}; next: switchback label {name} LABEL {version}"
    else:
        first = f"nothing changed: version {version} of {name} has the same content already"
    unknown = cast("dict[str, str]", result["unknown"])
    return [
        *(f"not taken over: {path}: {reason}" for path, reason in unknown.items()),
        *(f"note: {text}" for text in cast("list[str]", result["notes"])),
        first,
    ]
