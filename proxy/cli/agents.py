"""`switchback agents`: whose behaviour is versioned, and what each agent's labels serve.

Rules about names and labels are the server's. Counterpart: `/agents` of the admin API.
"""

from enum import StrEnum
from typing import Annotated, Any, cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, AgentName, Limit, Why, admin_command, new_group
from proxy.cli.nearest import warn_of_slips
from proxy.cli.showing import Columns, Show, member, moment, print_table
from proxy.cli.telling import say

commands = new_group(
    no_args_is_help=True, help="Agents: create, list, show with their labels, change, archive, unarchive."
)

Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What the agent does, for people.")]
DefaultLabel = Annotated[str | None, typer.Option(metavar="LABEL", help="Followed by calls that name none [prod].")]
AllowLatest = Annotated[
    bool | None, typer.Option("--allow-latest/--no-allow-latest", help="Whether calls may ask for AGENT@latest.")
]


class Unapplied(StrEnum):
    """What becomes of a call that the version could have had a say in, but has not."""

    refuse = "refuse"
    passes = "pass"


UnappliedOption = Annotated[
    Unapplied | None,
    typer.Option(
        metavar="refuse|pass", help="Calls on which no version can be in force, such as /v1/completions [refuse]."
    ),
]

AGENTS: Columns = {
    "AGENT": member("agent"),
    "NEWEST": member("newest_version"),
    "DEFAULT LABEL": member("default_label"),
    "ARCHIVED": member("archived"),
    "DESCRIPTION": member("description"),
}


def arms_text(document: Document) -> str:
    """The arms of a rollout or release: `90% v1, 10% v2`; those with names of their own bear them: `60% v1, b 20% v2, c 20% v3`."""
    arms = cast("list[Document]", document.get("arms") or [])
    return ", ".join(f"{_arm_name(arm)}{arm.get('percentage', 0):g}% v{arm.get('version')}" for arm in arms)


def _arm_name(arm: Document) -> str:
    return "" if arm.get("name") in ("stable", "candidate", None) else f"{arm['name']} "


def _serves(release: Document) -> str:
    return "nothing" if release.get("kind") == "label_deleted" else arms_text(release)


def _rollout_text(label: Document) -> str:
    rollout = cast("Document | None", label.get("rollout"))
    return "" if rollout is None else f"{rollout.get('id')} {rollout.get('state')}: {arms_text(rollout)}"


LABELS: Columns = {
    "LABEL": member("label"),
    "VERSION": member("version"),
    "RELEASE": member("release"),
    "ROLLOUT": _rollout_text,
}
RELEASES: Columns = {
    "RELEASE": member("release"),
    "TIME": moment("created_at"),
    "KIND": member("kind"),
    "LABEL": member("label"),
    "SERVES": _serves,
    "UNDOES": member("undoes"),
    "WHO": member("who"),
    "WHY": member("why"),
}


@admin_command(commands, "list", "switchback agents list")
def list_agents(api: AdminClient, show: Show, limit: Limit = 1000) -> None:
    """List the agents."""
    show.items(api.items("/agents", limit), AGENTS, "no agents yet: switchback agents create NAME")


@admin_command(
    commands, "create", 'switchback agents create support-triage --description "Routes tickets"', role="author"
)
def create_agent(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    description: Description = None,
    default_label: DefaultLabel = None,
    allow_latest: AllowLatest = None,
    unapplied: UnappliedOption = None,
    why: Why = NO_REASON,
) -> None:
    """Create an agent. It serves nothing before it has a version and its default label is set."""
    body = {"agent": agent, "why": why, **_given(description, default_label, allow_latest, unapplied)}
    made = api.post("/agents", body)
    show.document(made, f"created {agent}; next: switchback versions create {agent} --prompt-file FILE --model MODEL")


@admin_command(commands, "show", "switchback agents show support-triage")
def show_agent(api: AdminClient, show: Show, agent: AgentName) -> None:
    """Show an agent with its labels: which version each serves, and a rollout that runs on it."""
    found = api.get(f"/agents/{segment(agent)}")
    labels = cast("list[Document] | None", found.get("labels"))
    if show.as_json:
        show.document(found)
        return
    show.fields({name: value for name, value in found.items() if name != "labels"})
    if labels:
        say("")
        print_table(labels, LABELS)
    else:
        say("no labels yet: switchback label AGENT LABEL VERSION")


@admin_command(
    commands, "update", 'switchback agents update support-triage --default-label staging --why "tests"', role="author"
)
def update_agent(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    description: Description = None,
    default_label: DefaultLabel = None,
    allow_latest: AllowLatest = None,
    unapplied: UnappliedOption = None,
    why: Why = NO_REASON,
) -> None:
    """Change an agent's description, default label, whether `latest` may be asked for, or what happens where no version applies."""
    changes = _given(description, default_label, allow_latest, unapplied)
    if not changes:
        raise typer.BadParameter("say what to change: --description, --default-label, --allow-latest or --unapplied")
    show.document(api.patch(f"/agents/{segment(agent)}", {**changes, "why": why}), f"changed {agent}")


@admin_command(
    commands, "archive", 'switchback agents archive support-triage --why "replaced by triage-2"', role="admin"
)
def archive_agent(api: AdminClient, show: Show, agent: AgentName, why: Why = NO_REASON) -> None:
    """Take an agent out of service: calls that name it get 404. Its history stays."""
    show.document(api.post(f"/agents/{segment(agent)}/archive", {"why": why}), f"archived {agent}")


@admin_command(commands, "unarchive", 'switchback agents unarchive support-triage --why "still in use"', role="admin")
def unarchive_agent(api: AdminClient, show: Show, agent: AgentName, why: Why = NO_REASON) -> None:
    """Put an archived agent back in service: its labels serve what they served."""
    show.document(api.post(f"/agents/{segment(agent)}/unarchive", {"why": why}), f"{agent} is in service again")


@admin_command(commands, "releases", "switchback agents releases support-triage --label prod")
def list_releases(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: Annotated[str | None, typer.Option(metavar="TEXT", help="Only changes of this label.")] = None,
    limit: Limit = 50,
) -> None:
    """List every change of what an agent's traffic gets, newest first."""
    page = api.items(f"/agents/{segment(agent)}/releases", limit, {"label": label})
    none = "nothing was released yet: switchback label AGENT LABEL VERSION" if label is None else "had no release"
    show.items(page, RELEASES, none if label is None else f"the label {label} of {agent} {none}")
    if label is not None and not page["items"]:
        warn_of_slips(api, {"agent": agent, "label": label})


def _given(
    description: str | None, default_label: str | None, allow_latest: bool | None, unapplied: Unapplied | None
) -> dict[str, Any]:
    values = {
        "description": description,
        "default_label": default_label,
        "allow_latest": allow_latest,
        "unapplied": None if unapplied is None else unapplied.value,
    }
    return {name: value for name, value in values.items() if value is not None}
