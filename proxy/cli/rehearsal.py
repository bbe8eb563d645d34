"""`switchback rollout simulate`: a rollout lived through before it begins. The living is rehearsed.py's."""

from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient
from proxy.cli.admin_command import AgentName, admin_command
from proxy.cli.plan_file import PlanOption
from proxy.cli.showing import Show

Assume = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ARM.METRIC=N",
        help="errors, refusals (rates), latency, cost, output_tokens (factors) of stable or candidate; once for each.",
    ),
]


def simulate(
    api: AdminClient,
    show: Show,
    agent: AgentName,
    assume: Assume = None,
    plan: PlanOption = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Replay the agent's recorded runs since: RFC 3339, or 24h, 7d ago."),
    ] = None,
    runs_per_hour: Annotated[
        float, typer.Option(metavar="N", min=1, max=1_000_000, help="Of made-up traffic, both arms together.")
    ] = 500,
    users: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="Of made-up traffic.")] = 1_000,
    days: Annotated[float, typer.Option(metavar="N", min=0.01, max=60, help="Made-up traffic ends after so long.")] = 7,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, max=1_000, help="How often it is lived through.")] = 20,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same answer.")] = 1,
    most_seconds: Annotated[
        float, typer.Option(metavar="N", min=1, max=3_600, help="Stop after so long, with what is known by then.")
    ] = 60,
) -> None:
    """Live through a rollout before it begins: when it would act, and how many users would have seen the candidate.

    With --since the agent's recorded runs are replayed; without, traffic is made up. What is not assumed of the candidate is as
    stable's.
    """
    # It reads runs and hashes users, which no other verb waits for.
    from proxy.cli.rehearsed import Rehearsed, simulated  # noqa: PLC0415

    asked = Rehearsed(agent, assume or (), plan, since, runs_per_hour, users, days, repeats, seed, most_seconds)
    document, lines = simulated(api, asked)
    show.document(document, *lines)


def register(rollout: typer.Typer) -> None:
    """Beside the other verbs of rollouts."""
    admin_command(
        rollout,
        "simulate",
        "switchback rollout simulate support-triage --assume stable.errors=0.01 --assume candidate.errors=0.05",
        "switchback rollout simulate support-triage --since 24h --assume candidate.latency=1.5",
    )(simulate)
