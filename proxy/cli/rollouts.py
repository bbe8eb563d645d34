"""`switchback rollout`: the gradual move of a label from one version to another.

Taking a rollout back is `switchback rollback`, the one control point. Counterpart: `/agents/{agent}/rollouts`.
"""

from contextlib import suppress
from typing import Annotated, cast

import typer

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.admin_command import NO_REASON, AgentName, Limit, Why, admin_command, new_group
from proxy.cli.agents import arms_text
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.plan_file import PlanOption, plan_or_name
from proxy.cli.protected_moves import Evaluations, Force, is_proposal, waiting_lines, with_evidence
from proxy.cli.rollout_view import rollout_lines
from proxy.cli.showing import Columns, Show, member, moment

commands = new_group(no_args_is_help=True, help="Give shares of a label's traffic to other versions.")

ROLLOUTS: Columns = {
    "ROLLOUT": member("id"),
    "LABEL": member("label"),
    "STATE": member("state"),
    "SHARES": arms_text,
    "STARTED": moment("created_at"),
    "ENDED": moment("ended_at"),
    "BY": member("created_by"),
    "WHY": member("why"),
}
_ACTIVE = ("running", "paused", "waiting")

RolloutId = Annotated[
    str | None,
    typer.Argument(metavar="ROLLOUT", help="Its id, such as r3 [the one that runs, where there is only one]."),
]
Percentage = Annotated[
    float, typer.Option(metavar="NUMBER", min=0, max=100, help="The arm's share of the traffic, 0 to 100.")
]
ArmName = Annotated[str | None, typer.Option("--arm", metavar="NAME", help="Which arm, where there are several.")]


@admin_command(
    commands,
    "start",
    'switchback rollout start support-triage --candidate 8 --why "canary"',
    "switchback rollout start support-triage --candidate 8 --plan cautious",
    "switchback rollout start support-triage --arm b=8:20 --arm c=9:20",
    role="operator",
)
def start_rollout(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    candidate: Annotated[
        int | None, typer.Option(metavar="VERSION", min=1, help="The version that is tried, or several by --arm.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VERSION:PERCENT",
            help="A version with a fixed share and a name of its own, once for each; without :PERCENT where the plan has the shares.",
        ),
    ] = None,
    percentage: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", min=0, max=100, help="A fixed share, kept until somebody moves it."),
    ] = None,
    plan: PlanOption = None,
    label: Annotated[str, typer.Option(metavar="TEXT", help="Whose traffic is shared.")] = "prod",
    eligible: Annotated[
        list[str] | None, typer.Option(metavar="TAG=VALUE", help="Only calls with this tag; once for each.")
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="USER=ARM",
            help="This user always gets that arm, such as stable, and is no evidence; once for each.",
        ),
    ] = None,
    evaluation: Evaluations = None,
    force: Force = False,
    why: Why = NO_REASON,
) -> None:
    """Give a candidate version a growing share of users, or several versions fixed ones; each is judged by evidence and taken back
    where it is worse than what the label serves.

    The same user always gets the same version.
    """
    if (candidate is None) == (not arm):
        raise CommandFailed(
            "say which version: --candidate VERSION, or --arm NAME=VERSION:PERCENT for each", EXIT_USAGE
        )
    body: Document = {"label": label, "why": why}
    if candidate is not None:
        body["candidate"] = candidate
    if arm:
        body["arms"] = [_arm(text) for text in arm]
    if percentage is not None:
        body["percentage"] = percentage
    if plan is not None:
        body["plan"] = plan_or_name(plan)
    if eligible:
        body["eligible"] = dict(_tag(pair) for pair in eligible)
    if pin:
        body["pinned"] = dict(_pinned(pair) for pair in pin)
    if force:
        body["force"] = True
    made = api.post(f"/agents/{segment(agent)}/rollouts", with_evidence(body, evaluation))
    if is_proposal(made):
        show.document(made, *waiting_lines(agent, made))
        return
    show.document(
        made,
        f"{agent}: rollout {made.get('id')} runs on {label}: {arms_text(made)}",
        f"take it back with: switchback rollback {agent} --label {label}",
    )


@admin_command(commands, "list", "switchback rollout list support-triage")
def list_rollouts(api: AdminClient, show: Show, agent: AgentName, limit: Limit = 50) -> None:
    """List an agent's rollouts, newest first."""
    show.items(api.items(_rollouts(agent), limit), ROLLOUTS, f"{agent} had no rollout yet")


@admin_command(commands, "show", "switchback rollout show support-triage r3")
def show_rollout(api: AdminClient, show: Show, agent: AgentName, rollout: RolloutId = None) -> None:
    """Show a rollout: shares, what was decided last and on which numbers, what it waits for, its plan. Where none runs, the
    last one that did."""
    if rollout is None:
        listed = _listed(api, agent)
        if (rollout := _only_running(agent, listed)) is None and listed:
            rollout = str(listed[0].get("id"))
            api.warnings.append(f"no rollout of {agent} runs{_last_text(agent, listed)}")
    found = api.get(_path(api, agent, rollout))
    if show.as_json:
        show.document(found)
        return
    rest = {name: value for name, value in found.items() if name not in ("progress", "plan", "watch")}
    show.fields({**rest, "arms": arms_text(found), **rollout_lines(found)})


@admin_command(commands, "pause", 'switchback rollout pause support-triage --why "wait for Monday"', role="operator")
def pause(api: AdminClient, show: Show, agent: AgentName, rollout: RolloutId = None, why: Why = NO_REASON) -> None:
    """Keep the share as it is. Guards go on watching, and take the candidate back where it is worse."""
    _turn(api, show, agent, rollout, "pause", why)


@admin_command(commands, "resume", 'switchback rollout resume support-triage --why "it is Monday"', role="operator")
def resume(api: AdminClient, show: Show, agent: AgentName, rollout: RolloutId = None, why: Why = NO_REASON) -> None:
    """Let a paused rollout go on with its plan."""
    _turn(api, show, agent, rollout, "resume", why)


@admin_command(
    commands, "set-percentage", "switchback rollout set-percentage support-triage --percentage 25", role="operator"
)
def set_percentage(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    percentage: Percentage,
    rollout: RolloutId = None,
    arm: ArmName = None,
    why: Why = NO_REASON,
) -> None:
    """Change the candidate's share, or that of another arm. Users who have it keep it when the share grows, and no user goes from one
    such arm to another."""
    body: Document = {"percentage": percentage, "why": why} | ({} if arm is None else {"arm": arm})
    after = api.post(f"{_path(api, agent, rollout)}/set-percentage", body)
    show.document(after, f"{agent}: rollout {after.get('id')} on {after.get('label')}: {arms_text(after)}")


@admin_command(
    commands, "promote", 'switchback rollout promote support-triage --why "a week without errors"', role="operator"
)
def promote(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    rollout: RolloutId = None,
    arm: ArmName = None,
    evaluation: Evaluations = None,
    force: Force = False,
    why: Why = NO_REASON,
) -> None:
    """End a rollout well: the label points to the version of the candidate, or of the arm that is named; everyone gets it."""
    body: Document = {"why": why, "force": True} if force else {"why": why}
    if arm is not None:
        body["arm"] = arm
    _finish(api, show, agent, rollout, "promote", arm, with_evidence(body, evaluation))


@admin_command(commands, "abort", 'switchback rollout abort support-triage --why "not needed"', role="operator")
def abort(api: AdminClient, show: Show, agent: AgentName, rollout: RolloutId = None, why: Why = NO_REASON) -> None:
    """End a rollout: the stable version serves everyone again."""
    _finish(api, show, agent, rollout, "abort", "stable", {"why": why})


def _turn(api: AdminClient, show: Show, agent: str, rollout: str | None, verb: str, why: str) -> None:
    after = api.post(f"{_path(api, agent, rollout)}/{verb}", {"why": why})
    show.document(after, f"{agent}: rollout {after.get('id')} on {after.get('label')} is {after.get('state')}")


def _finish(
    api: AdminClient, show: Show, agent: str, rollout: str | None, verb: str, arm: str | None, body: Document
) -> None:
    """`arm` None: the only one beside stable."""
    ended = api.post(f"{_path(api, agent, rollout)}/{verb}", body)
    if is_proposal(ended):
        show.document(ended, *waiting_lines(agent, ended))
        return
    arms = cast("list[Document]", ended.get("arms") or [])
    meant = [other for other in arms if other.get("name") == arm or (arm is None and other.get("name") != "stable")]
    serving = meant[0].get("version") if meant else "?"
    show.document(
        ended,
        f"{agent}: rollout {ended.get('id')} {ended.get('state')}; {ended.get('label')} serves version {serving}, everyone",
    )


def _rollouts(agent: str) -> str:
    return f"/agents/{segment(agent)}/rollouts"


def _path(api: AdminClient, agent: str, rollout: str | None) -> str:
    """The path of the named rollout, else of the only one that runs."""
    if rollout is None:
        listed = _listed(api, agent)
        if (rollout := _only_running(agent, listed)) is None:
            raise CommandFailed(f"no rollout of {agent} runs{_last_text(agent, listed)}")
    return f"{_rollouts(agent)}/{segment(rollout)}"


def _listed(api: AdminClient, agent: str) -> list[Document]:
    """Newest first."""
    return cast("list[Document]", api.items(_rollouts(agent), 1000)["items"])


def _only_running(agent: str, listed: list[Document]) -> str | None:
    running = [str(item.get("id")) for item in listed if item.get("state") in _ACTIVE]
    if len(running) > 1:
        raise CommandFailed(f"several rollouts of {agent} run; name one of {', '.join(running)}", EXIT_USAGE)
    return running[0] if running else None


def _last_text(agent: str, listed: list[Document]) -> str:
    if not listed:
        return "; it had none yet"
    last = listed[0]
    return (
        f"; the last, {last.get('id')} on {last.get('label')}, is {last.get('state')} (switchback rollout list {agent})"
    )


def _pinned(pair: str) -> tuple[str, str]:
    user, separator, arm = pair.rpartition("=")
    if not separator or not user or not arm:
        raise CommandFailed(f"--pin is written USER=ARM, such as ann=candidate or ann=stable, not {pair!r}", EXIT_USAGE)
    return user, arm


def _arm(text: str) -> Document:
    name, separator, rest = text.partition("=")
    version, colon, share = rest.partition(":")
    if separator and name and version.isascii() and version.isdecimal():
        arm: Document = {"name": name, "version": int(version)}
        if not colon:
            return arm
        with suppress(ValueError):
            if 0 <= float(share) <= 100:
                return {**arm, "percentage": float(share)}
    raise CommandFailed(f"--arm is written NAME=VERSION:PERCENT, such as b=8:20, not {text!r}", EXIT_USAGE)


def _tag(pair: str) -> tuple[str, str]:
    key, separator, value = pair.partition("=")
    if not separator or not key:
        raise CommandFailed(f"--eligible is written TAG=VALUE, not {pair!r}", EXIT_USAGE)
    return key, value
