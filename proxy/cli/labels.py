"""`switchback label` and `switchback rollback`: what traffic gets, changed in one call, and changed back in one call.

Rollback acts with a single request and sends no release unless one is named: what two people who both say "roll back" mean is
decided where both are heard, on the server; rollback_target.py looks whether it would go forward. Counterpart: `/labels` and `/rollback` of the admin API.
"""

from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, AgentName, Why, admin_command, new_group
from proxy.cli.protected_moves import Evaluations, Force, is_proposal, waiting_lines, with_evidence
from proxy.cli.rollback_target import confirm, just_left
from proxy.cli.showing import Show

commands = new_group()


@admin_command(
    commands,
    "label",
    'switchback label support-triage prod 7 --why "passed the evaluation"',
    "switchback label support-triage staging --delete",
    role="operator",
)
def move_label(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Name of the label, such as prod.")],
    version: Annotated[int | None, typer.Argument(metavar="VERSION", min=1, help="Number of the version.")] = None,
    if_release: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="The release you saw (0: not set yet); moved since is a conflict, exit code 4."
        ),
    ] = None,
    evaluation: Evaluations = None,
    force: Force = False,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the label.")] = False,
    why: Why = NO_REASON,
) -> None:
    """Point a label at a version: the next call gets it. `switchback agents show` lists labels."""
    path = f"/agents/{segment(agent)}/labels/{segment(label)}"
    if delete:
        if version is not None or if_release is not None or evaluation or force:
            raise typer.BadParameter("--delete takes no VERSION, no --if-release, no --evaluation and no --force")
        show.document(api.delete(path, why), f"removed the label {label} of {agent}")
        return
    if version is None:
        raise typer.BadParameter("say which VERSION the label shall serve")
    body: Document = {"version": version, "why": why}
    if if_release is not None:
        body["if_release"] = if_release
    if force:
        body["force"] = True
    moved = api.put(path, with_evidence(body, evaluation))
    if is_proposal(moved):
        show.document(moved, *waiting_lines(agent, moved))
    elif moved.get("changed") is False:
        show.document(moved, f"nothing changed: {moved.get('reason')}")
    else:
        show.document(moved, f"{agent}: {label} serves version {version} now (release {moved.get('release')})")


@admin_command(
    commands,
    "rollback",
    "switchback rollback support-triage",
    'switchback rollback support-triage --label prod --to 5 --why "wrong refunds since 7"',
    role="operator",
)
def roll_back(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: Annotated[str | None, typer.Option(metavar="TEXT", help="Which label [the agent's default label].")] = None,
    undoes: Annotated[
        int | None, typer.Option(metavar="RELEASE", min=1, help="The release to undo [the one in force].")
    ] = None,
    to: Annotated[int | None, typer.Option(metavar="VERSION", min=1, help="The version to go back to.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask where that serves a version again that was just left.")
    ] = False,
    why: Why = NO_REASON,
) -> None:
    """Take a label back: end its rollout, else serve what was served before. The next call gets it.

    Safe to repeat: a release that is no longer in force is not undone again. Where the label was moved back by hand already, so
    that a rollback would serve the version it left, that is asked about; without a terminal it is refused (exit code 2).
    """
    target = None if yes or to is not None else just_left(api, agent, label)
    if target is not None:
        confirm(agent, target)
        # What was agreed to, and only over what was looked at.
        label, to, undoes = target.label, target.version, undoes or target.release.get("release")
    said = {"label": label, "undoes": undoes, "to": to, "why": why}
    answer = api.post(
        f"/agents/{segment(agent)}/rollback", {name: value for name, value in said.items() if value is not None}
    )
    show.document(answer, *rollback_lines(agent, answer))


def rollback_lines(agent: str, answer: Document) -> list[str]:
    """What a rollback did, in words: what was undone and what serves now, or that nothing changed."""
    label, version = answer.get("label"), answer.get("version")
    if answer.get("changed") is False:
        return [f"nothing changed: {answer.get('reason')}", f"{agent}: {label} serves version {version}"]
    return [
        f"undone: release {answer.get('undoes')} of {agent}",
        f"{agent}: {label} serves version {version} to everyone now (release {answer.get('release')})",
    ]
