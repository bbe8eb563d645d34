"""`switchback plans`: plans of rollouts that are kept under a name, for the rollouts of any agent.

A rollout that was started with one keeps it as it was then. Counterpart: `/plans` of the admin API.
"""

from pathlib import Path
from typing import Annotated, cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, Limit, Why, admin_command, new_group
from proxy.cli.plan_file import read_plan_file
from proxy.cli.rollout_view import plan_text
from proxy.cli.showing import Columns, Show, member, moment

commands = new_group(no_args_is_help=True, help="Plans of rollouts under a name: set, list, show, delete.")

PLANS: Columns = {
    "PLAN": member("name"),
    "STEPS": lambda named: plan_text({**cast("Document", named.get("plan") or {}), "name": None}),
    "UPDATED": moment("updated_at"),
    "BY": member("updated_by"),
    "WHY": member("why"),
}
PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="Its name.")]


@admin_command(commands, "set", 'switchback plans set cautious cautious.yaml --why "after the outage"', role="operator")
def set_plan(
    api: AdminClient,
    show: Show,
    named_plan: PlanName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Steps, guards and ends, as YAML or JSON; the rest is the default's.")
    ],
    why: Why = NO_REASON,
) -> None:
    """Keep a plan under a name, in the place of the one there. Rollouts that run keep the plan they were started with."""
    made = api.put(_path(named_plan), {"plan": read_plan_file(file), "why": why})
    show.document(
        made,
        f"plan {plan_text(made['plan'])}",
        f"start a rollout with it: switchback rollout start AGENT --candidate VERSION --plan {named_plan}",
    )


@admin_command(commands, "list", "switchback plans list")
def list_plans(api: AdminClient, show: Show, limit: Limit = 1000) -> None:
    """List the plans that are kept, by name."""
    show.items(
        api.items("/plans", limit), PLANS, "no plan has a name; rollouts have the default plan, or one of their own"
    )


@admin_command(commands, "show", "switchback plans show cautious")
def show_plan(api: AdminClient, show: Show, named_plan: PlanName) -> None:
    """Show a plan with every member; --json prints what `plans set` takes as `plan`."""
    show.fields(api.get(_path(named_plan)))


@admin_command(commands, "delete", 'switchback plans delete cautious --why "nobody uses it"', role="operator")
def delete_plan(api: AdminClient, show: Show, named_plan: PlanName, why: Why = NO_REASON) -> None:
    """Forget a plan. Rollouts that were started with it keep it."""
    show.document(api.delete(_path(named_plan), why), f"plan {named_plan} is gone; rollouts that run keep it")


def _path(name: str) -> str:
    return f"/plans/{segment(name)}"
