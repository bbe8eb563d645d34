"""`switchback proposals` and `switchback protection`: changes that wait for a second person, and which labels ask for one.

Counterparts: `/agents/{agent}/proposals`, `/agents/{agent}/protections` and `…/labels/{label}/protection`; protected_moves.py
has what the verbs that move labels say and send.
"""

from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, AgentName, Limit, Why, admin_command, new_group
from proxy.cli.agents import arms_text
from proxy.cli.diff_view import print_diff
from proxy.cli.protected_moves import Evaluations, Force, with_evidence
from proxy.cli.showing import Columns, Show, member, moment

commands = new_group(
    no_args_is_help=True, help="Changes that wait for a second person: create, list, show, approve, reject."
)
protection_commands = new_group(no_args_is_help=True, help="Protected labels: list, set, end their rules.")


def _what(proposal: Document) -> str:
    label, version = proposal.get("label"), proposal.get("version")
    match proposal.get("action"):
        case "start_rollout":
            if proposal.get("arms"):
                return f"of {label} {arms_text(proposal)}"
            return f"{proposal.get('percentage', 0):g}% of {label} to version {version}"
        case "promote":
            return f"promote {proposal.get('rollout')}: {label} to version {version}"
        case _:
            return f"{label} to version {version}"


PROPOSALS: Columns = {
    "PROPOSAL": member("id"),
    "STATE": member("state"),
    "WHAT": _what,
    "BY": member("proposed_by"),
    "TIME": moment("created_at"),
    "WHY": member("why"),
    "DECIDED BY": member("decided_by"),
}
PROTECTIONS: Columns = {
    "LABEL": member("label"),
    "WHO MAY MOVE": member("who_may_move"),
    "NEEDS EVALUATION": member("evaluation_required"),
    "NEEDS APPROVAL": member("approval_required"),
}

ProposalId = Annotated[str, typer.Argument(metavar="PROPOSAL", help="Id of the proposal, such as p1.")]
LabelName = Annotated[str, typer.Argument(metavar="LABEL", help="Name of the label, such as prod.")]


def register(app: typer.Typer) -> None:
    """Add `proposals` and `protection` to the command."""
    app.add_typer(commands, name="proposals")
    app.add_typer(protection_commands, name="protection")


@admin_command(commands, "list", "switchback proposals list support-triage --state waiting")
def list_proposals(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    state: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those that are waiting, approved, rejected or stale.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List an agent's proposals, newest first. A stale one is about a label that changed since."""
    found = api.items(_proposals(agent), limit, {"state": state})
    show.items(found, PROPOSALS, f"{agent} has no proposals" + ("" if state is None else f" that are {state}"))


@admin_command(commands, "show", "switchback proposals show support-triage p1")
def show_proposal(api: AdminClient, show: Show, agent: AgentName, proposal: ProposalId) -> None:
    """Show a proposal, and what it would change in the version that is served."""
    found = api.get(f"{_proposals(agent)}/{segment(proposal)}")
    if show.as_json:
        show.document(found)
        return
    show.fields({name: value for name, value in found.items() if name != "diff"})
    print_diff(found.get("diff") or {})


@admin_command(
    commands,
    "create",
    'switchback proposals create support-triage prod 8 --evaluation tickets-20 --why "passed the evaluation"',
    role="operator or author",
)
def create_proposal(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: LabelName,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version the label shall serve.")],
    if_release: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="The release you saw (0: not set yet); moved since is a conflict."),
    ] = None,
    evaluation: Evaluations = None,
    force: Force = False,
    why: Why = NO_REASON,
) -> None:
    """Propose that a label serves a version: somebody else decides. For authors, and for whoever wants a second look."""
    body: Document = {"label": label, "version": version, "why": why}
    if if_release is not None:
        body["if_release"] = if_release
    if force:
        body["force"] = True
    made = api.post(_proposals(agent), with_evidence(body, evaluation))
    show.document(
        made,
        f"{agent}: proposal {made.get('id')} waits: {_what(made)}",
        f"somebody else can say: switchback proposals approve {agent} {made.get('id')}",
    )


@admin_command(
    commands, "approve", 'switchback proposals approve support-triage p1 --why "read the diff"', role="operator"
)
def approve(
    api: AdminClient, show: Show, agent: AgentName, proposal: ProposalId, force: Force = False, why: Why = NO_REASON
) -> None:
    """Let a proposal happen, now. Whoever proposed it cannot."""
    body: Document = {"why": why, "force": True} if force else {"why": why}
    done = api.post(f"{_proposals(agent)}/{segment(proposal)}/approve", body)
    show.document(done, f"{agent}: done as {done.get('proposed_by')} proposed: {_what(done)}")


@admin_command(
    commands, "reject", 'switchback proposals reject support-triage p1 --why "no evaluation"', role="operator or author"
)
def reject(api: AdminClient, show: Show, agent: AgentName, proposal: ProposalId, why: Why = NO_REASON) -> None:
    """Let a proposal not happen; also how its author takes it back."""
    done = api.post(f"{_proposals(agent)}/{segment(proposal)}/reject", {"why": why})
    show.document(done, f"{agent}: proposal {done.get('id')} is rejected; nothing changed")


@admin_command(protection_commands, "list", "switchback protection list support-triage")
def list_protections(api: AdminClient, show: Show, agent: AgentName, limit: Limit = 1000) -> None:
    """List an agent's protected labels and what a move of each needs."""
    found = api.items(f"/agents/{segment(agent)}/protections", limit)
    show.items(found, PROTECTIONS, f"no label of {agent} is protected")


@admin_command(
    protection_commands,
    "set",
    "switchback protection set support-triage prod --approval --evaluation",
    "switchback protection set support-triage prod --who-may-move admin",
    role="admin",
)
def set_protection(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    label: LabelName,
    who_may_move: Annotated[str, typer.Option(metavar="ROLE", help="operator or admin; authors propose.")] = "operator",
    evaluation: Annotated[bool, typer.Option("--evaluation", help="A move must name an evaluation.")] = False,
    approval: Annotated[bool, typer.Option("--approval", help="A second person must approve a move.")] = False,
    why: Why = NO_REASON,
) -> None:
    """Protect a label, in place of the rules it had. Rollbacks never wait."""
    body = {
        "who_may_move": who_may_move, "evaluation_required": evaluation, "approval_required": approval, "why": why,
    }  # fmt: skip
    rules = api.put(_protection(agent, label), body)
    needs = [name for name, is_needed in (("an evaluation", evaluation), ("a second person", approval)) if is_needed]
    needed = f", with {' and '.join(needs)}" if needs else ""
    show.document(rules, f"{agent}: {label} is protected: moved by {rules.get('who_may_move')}{needed}")


@admin_command(protection_commands, "end", "switchback protection end support-triage prod", role="admin")
def end_protection(api: AdminClient, show: Show, agent: AgentName, label: LabelName, why: Why = NO_REASON) -> None:
    """Protect a label no longer."""
    show.document(api.delete(_protection(agent, label), why), f"{agent}: {label} is not protected any more")


def _proposals(agent: str) -> str:
    return f"/agents/{segment(agent)}/proposals"


def _protection(agent: str, label: str) -> str:
    return f"/agents/{segment(agent)}/labels/{segment(label)}/protection"
