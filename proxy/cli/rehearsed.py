"""`switchback rollout simulate`: a rollout lived through before it begins, by the code that will decide about the real one.

Traffic is the agent's recorded runs, or made up from what is assumed; everything is worked out here and nothing is changed at the
server. A seed makes it the same again.
"""

import itertools
import math
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.plan_file import plan_or_name
from proxy.cli.times import time_ago
from proxy.core.calls.runs import Run
from proxy.core.errors import BadInput
from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.reading import read_plan
from proxy.core.rollouts.rehearsing import ArmAssumptions, Rehearsal, read_assumptions, rehearse
from proxy.core.rollouts.telling import duration
from proxy.core.times import parse_rfc3339

_PAGE: Final = 500
_MOST_RECORDED: Final = 50_000
_MOST_MADE: Final = 500_000
#: So uneven are made-up users, and so are latencies and costs: the standard deviation of the logarithm.
_ACTIVITY_SIGMA, _SPREAD_SIGMA = 1.0, 0.8
_ENDS: Final = {
    "rolled_back": "taken back",
    "promoted": "promoted",
    "waiting": "waits for approval",
    "traffic_over": "not decided by then",
}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What is asked, as the options of the verb say it."""

    agent: str
    assume: Sequence[str]
    plan: str | None
    since: str | None
    runs_per_hour: float
    users: int
    days: float
    repeats: int
    seed: int
    most_seconds: float


def simulated(api: AdminClient, asked: Rehearsed) -> tuple[dict[str, Any], list[str]]:
    """What came of it, as a document and in sentences. Raises CommandFailed."""
    try:
        chosen = read_plan(_plan(api, asked.plan))
        assumed = read_assumptions(asked.assume)
    except BadInput as error:
        raise CommandFailed(error.message, EXIT_USAGE) from None
    recorded = None if asked.since is None else _recorded(api, asked.agent, asked.since)
    deadline = time.monotonic() + asked.most_seconds
    lived: list[Rehearsal] = []
    for number in range(asked.repeats):
        draw = random.Random(f"{asked.seed}/{number}")  # noqa: S311 a simulation's chance, the same for a seed
        runs = _made_up(draw, asked.runs_per_hour, asked.users, asked.days) if recorded is None else recorded
        lived.append(_once(chosen, runs, assumed, f"{asked.agent}/simulated-{asked.seed}-{number}", draw, deadline))
        if time.monotonic() >= deadline:
            # What the deadline cut short says nothing, unless there is nothing else.
            lived = lived[:-1] or lived
            break
    document = _document(asked.agent, lived, asked.repeats, None if recorded is None else len(recorded))
    return document, _lines(document, lived)


def _plan(api: AdminClient, asked: str | None) -> Document:
    found = {} if asked is None else plan_or_name(asked)
    return api.get(f"/plans/{segment(found)}")["plan"] if isinstance(found, str) else found


def _once(
    plan: Plan,
    runs: Iterable[Run],
    assumed: dict[str, ArmAssumptions],
    salt: str,
    draw: random.Random,
    deadline: float,
) -> Rehearsal:
    return rehearse(plan, runs, assumed, salt, draw.random, goes_on=lambda: time.monotonic() < deadline)


def _recorded(api: AdminClient, agent: str, since: str) -> list[Run]:
    """The agent's runs, oldest first. Raises CommandFailed where there are none."""
    query: dict[str, Any] = {"agent": agent, "from": time_ago(since), "quarantined": "false", "limit": _PAGE}
    runs: list[Run] = []
    cursor: str | None = None
    while len(runs) < _MOST_RECORDED:
        page = api.get("/runs", {**query, "cursor": cursor})
        runs += [_run(item) for item in page["items"] if item["kind"] == "live"]
        cursor = page["next"]
        if cursor is None:
            break
    if not runs:
        raise CommandFailed(f"no runs of {agent} since {since}: leave --since out to make traffic up")
    return runs[::-1]


def _run(item: dict[str, Any]) -> Run:
    first, cost = item["time_to_first_byte_ms"], item["cost_usd"]
    return Run(
        id=item["id"],
        agent=item["agent"],
        started_at_microseconds=parse_rfc3339(item["started_at"], "started_at"),
        duration_microseconds=round(item["duration_ms"] * 1000),
        time_to_first_byte_microseconds=None if first is None else round(first * 1000),
        user=item["user"],
        conversation=item["conversation"],
        input_tokens=item["tokens"]["input"],
        cached_tokens=item["tokens"]["cached"],
        output_tokens=item["tokens"]["output"],
        cost_nanodollars=None if cost is None else round(cost * 1e9),
        status=item["status"],
        result=item["result"],
        error_class=item["error_class"],
        finish=item["finish"],
        refusal=item["refusal"],
        tool_call_count=item["tool_call_count"],
    )


def _made_up(draw: random.Random, runs_per_hour: float, users: int, days: float) -> Iterator[Run]:
    """Runs at even distances by users of whom some call far more often than others."""
    weights = list(itertools.accumulate(math.exp(draw.gauss(0, _ACTIVITY_SIGMA)) for _ in range(users)))
    count = min(_MOST_MADE, math.ceil(runs_per_hour * 24 * days))
    for number in range(count):
        (user,) = draw.choices(range(users), cum_weights=weights)
        yield Run(
            id="",
            agent="",
            started_at_microseconds=round(number * 3.6e9 / runs_per_hour),
            duration_microseconds=round(1e6 * draw.lognormvariate(0, _SPREAD_SIGMA)),
            user=f"user-{user}",
            status=200,
            cost_nanodollars=round(1e6 * draw.lognormvariate(0, _SPREAD_SIGMA)),
        )


def _document(agent: str, lived: Sequence[Rehearsal], asked: int, recorded: int | None) -> dict[str, Any]:
    ended = {end: sum(one.end == end for one in lived) for end in _ENDS}
    return {
        "agent": agent,
        "recorded_runs": recorded,
        "repeats": len(lived),
        "repeats_asked": asked,
        "ends": ended,
        **{
            name: {"p50": _quantile(values, 0.5), "p90": _quantile(values, 0.9)}
            for name, values in (
                ("seconds", [one.seconds for one in lived]),
                ("candidate_runs", [one.candidate_runs for one in lived]),
                ("candidate_users", [one.candidate_users for one in lived]),
            )
        },
        "first": {
            "end": lived[0].end,
            "told": lived[0].told,
            "percentage": lived[0].percentage,
            "seconds": lived[0].seconds,
            "steps": [{"seconds": at, "percentage": percentage} for at, percentage in lived[0].steps],
        },
    }


def _lines(document: dict[str, Any], lived: Sequence[Rehearsal]) -> list[str]:
    times, runs, users = (document[name] for name in ("seconds", "candidate_runs", "candidate_users"))
    ends = ", ".join(f"{_ENDS[end]} {count}" for end, count in document["ends"].items() if count)
    lines = [
        f"of {len(lived)} times: {ends}",
        f"ended after {duration(times['p50'])} at the median, {duration(times['p90'])} in 9 of 10",
        f"until then the candidate had {runs['p50']:,.0f} runs of {users['p50']:,.0f} users at the median, "
        f"{runs['p90']:,.0f} of {users['p90']:,.0f} in 9 of 10",
        f"the first time, at {lived[0].percentage:g} %: {lived[0].told}",
    ]
    if len(lived) < document["repeats_asked"]:
        lines.append(f"stopped in time: {document['repeats_asked']} times were asked for")
    return lines


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return statistics.median(ordered) if share == 0.5 else ordered[min(len(ordered) - 1, int(share * len(ordered)))]
