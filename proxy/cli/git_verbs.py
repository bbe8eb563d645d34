"""`switchback sync` and `switchback agents export`: agents as files under version control, in and out.

Options only; sync.py does the work and is imported when a verb runs, because it brings readers of YAML and JSON that no other
verb needs.
"""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient, Document
from proxy.cli.admin_command import admin_command
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.showing import Show

_GIT_SECONDS = 10
_DIRTY = "-dirty"

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory with a folder for each agent.")]


def register(app: typer.Typer, agents: typer.Typer) -> None:
    """Add `sync` to the command and `export` to its group of agents."""
    admin_command(
        app,
        "sync",
        "switchback sync config/agents --dry-run",
        "switchback sync config/agents --label staging",
        role="author",
    )(sync_directory)
    admin_command(agents, "export", "switchback agents export config/agents")(export_directory)


def sync_directory(
    api: AdminClient,
    show: Show,
    directory: Directory,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")] = False,
    label: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Move this label to each agent's version afterwards, such as staging."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also build over versions that did not come from git, and change settings.")
    ] = False,
    git_commit: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="The commit to record [asked of git in DIR].")
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(
            "--message", "-m", metavar="TEXT", help="Of new versions [the commit's subject, else what the file says]."
        ),
    ] = None,
) -> None:
    """Create a version of each agent whose files changed. Equal content never makes a second one.

    Exit code 4 where an agent was refused, because its newest version was made elsewhere or somebody was quicker. Authors move no
    label, and operators make no version: with --label a token of an admin is needed.
    """
    # Heavy: readers of YAML and JSON, which only the verbs about files need.
    from proxy.cli.agent_files import BadAgentFiles  # noqa: PLC0415
    from proxy.cli.sync import sync  # noqa: PLC0415

    if label is not None:
        _check_label(label)
    commit = git_commit or commit_of(directory)
    said = message if message is not None else subject_of(directory, commit)
    try:
        report = sync(api, directory, dry_run=dry_run, label=label, force=force, git_commit=commit, message=said)
    except BadAgentFiles as bad:
        raise all_told(bad.problems) from None
    show.document(report.document(), *report.lines())
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def export_directory(
    api: AdminClient,
    show: Show,
    directory: Directory,
    agent: Annotated[
        list[str] | None, typer.Option(metavar="AGENT", help="Only this agent; may be repeated [all].")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Write the version of this label [the newest].")
    ] = None,
) -> None:
    """Write agents as files, in the format `switchback sync` reads. Files that are there are replaced.

    With --label, agents that do not have it are left out.
    """
    if label is not None:
        _check_label(label)
    # Heavy, as above.
    from proxy.cli.agent_export import export_agents  # noqa: PLC0415
    from proxy.cli.agent_files import BadAgentFiles  # noqa: PLC0415

    try:
        written = export_agents(api, directory, agent or [], label)
    except BadAgentFiles as bad:
        raise all_told(bad.problems) from None
    if label is not None and not any(item["folder"] for item in written):
        raise CommandFailed(f"no agent has the label {label!r}; nothing was written", code="label_not_set")
    lines = [_exported(item, label) for item in written]
    show.document({"items": written, "next": None}, *(lines or ["there are no agents"]))


def _exported(item: Document, label: str | None) -> str:
    if item["folder"] is None:
        return f"left out: {item['agent']} has no label {label}"
    return f"{item['folder']}: " + (f"version {item['version']}" if item["version"] else "no version")


def _check_label(label: str) -> None:
    """Before anything is changed. Raises CommandFailed."""
    # Heavy, as above.
    from proxy.core.errors import BadInput  # noqa: PLC0415
    from proxy.core.names import check_label_name  # noqa: PLC0415

    try:
        check_label_name(label)
    except BadInput as bad:
        raise CommandFailed(f"--label: {bad.message}", EXIT_USAGE) from None


def all_told(problems: list[str]) -> CommandFailed:
    """The failure to raise for several problems."""
    return CommandFailed(problems[-1], EXIT_USAGE, problems=problems)


def commit_of(directory: Path) -> str | None:
    """The commit `directory` is at, with `-dirty` behind it where files in it differ or are not in it at all; None outside
    a repository."""
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    changes = None if commit is None else _git(directory, "status", "--porcelain", "--untracked-files=all", "--", ".")
    return commit if not changes else f"{commit}{_DIRTY}"


def subject_of(directory: Path, commit: str | None) -> str | None:
    """The first line of a commit's message; None of files that are in no commit as they are, and where git does not know it."""
    if commit is None or commit.endswith(_DIRTY) or commit.startswith("-"):
        return None
    return _git(directory, "log", "-1", "--format=%s", commit, "--") or None


def _git(directory: Path, *words: str) -> str | None:
    """What git says; None where it refuses or is not there."""
    command = ["git", "-C", str(directory), *words]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=True)  # noqa: S603 fixed words and a directory behind -C
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.decode("utf-8", "replace").strip()
