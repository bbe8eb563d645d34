"""`switchback rollout simulate`: a rollout lived through before it begins, by the code that will decide about the real one.

Traffic is the agent's recorded runs, or made up from what is assumed; everything is worked out here and nothing is changed at the
server. A seed makes it the same again.

The plan's schedule is held against the time from now on (from its `not_before`, where that is later); recorded runs are moved there by
whole weeks. Made-up users carry the tags that the plan asks for.
"""

import itertools
import math
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from proxy.cli.admin_client import AdminClient, Document, segment
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.plan_file import plan_or_name
from proxy.cli.times import time_ago
from proxy.core.calls.runs import Run
from proxy.core.errors import BadInput
from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.reading import read_plan
from proxy.core.rollouts.rehearsing import (
    FIRST_RUNS,
    RUNS_BEFORE,
    ArmAssumptions,
    LeftOut,
    Rehearsal,
    moved_to,
    read_assumptions,
    rehearse,
    replayable,
    runs_before,
)
from proxy.core.rollouts.telling import duration, waiting
from proxy.core.times import parse_rfc3339

_MOST_RECORDED: Final = 50_000
_MOST_MADE: Final = 500_000
#: So uneven are made-up users, and so are latencies and costs: the standard deviation of the logarithm.
_ACTIVITY_SIGMA, _SPREAD_SIGMA = 1.0, 0.8
_LEFT_OUT: Final[dict[LeftOut, str]] = {
    "other_arm": "served by a candidate or another arm of a rollout",
    "other_label": "of other labels, or of none",
    "says_nothing": "which say nothing of what served them",
}
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


@dataclass(frozen=True, slots=True)
class _Recorded:
    """Runs of the agent, oldest first: those before the rollout, those it lives through, and how many are no part of it."""

    before: Sequence[Run]
    lived: Sequence[Run]
    left_out: dict[LeftOut, int]
    is_cut: bool


def simulated(api: AdminClient, asked: Rehearsed) -> tuple[dict[str, Any], list[str]]:
    """What came of it, as a document and in sentences. Raises CommandFailed."""
    try:
        chosen = read_plan(_plan(api, asked.plan))
        assumed = read_assumptions(asked.assume)
    except BadInput as error:
        raise CommandFailed(error.message, EXIT_USAGE) from None
    if chosen.arms:
        raise CommandFailed("arms of fixed shares cannot be rehearsed: there are no steps to live through", EXIT_USAGE)
    recorded = None if asked.since is None else _recorded(api, asked.agent, asked.since)
    earliest = max(time.time_ns() // 1000, chosen.schedule.not_before_microseconds or 0)
    deadline = time.monotonic() + asked.most_seconds
    lived: list[Rehearsal] = []
    for number in range(asked.repeats):
        draw = random.Random(f"{asked.seed}/{number}")  # noqa: S311 a simulation's chance, the same for a seed
        salt = f"{asked.agent}/simulated-{asked.seed}-{number}"
        lived.append(_once(chosen, asked, recorded, assumed, salt, draw, earliest, deadline))
        if time.monotonic() >= deadline:
            # What the deadline cut short says nothing, unless there is nothing else.
            lived = lived[:-1] or lived
            break
    document = _document(asked, lived, recorded)
    return document, [*_lines(document, lived), *_about_traffic(chosen, recorded)]


def _plan(api: AdminClient, asked: str | None) -> Document:
    found = {} if asked is None else plan_or_name(asked)
    return api.get(f"/plans/{segment(found)}")["plan"] if isinstance(found, str) else found


def _once(
    plan: Plan,
    asked: Rehearsed,
    recorded: _Recorded | None,
    assumed: dict[str, ArmAssumptions],
    salt: str,
    draw: random.Random,
    earliest: int,
    deadline: float,
) -> Rehearsal:
    before: Iterable[Run] = ()
    if recorded is None:
        runs, begins_at = _made_up(draw, asked, plan.eligible), earliest
        before = itertools.islice(runs, RUNS_BEFORE)
    else:
        runs, before = recorded.lived, recorded.before
        begins_at = moved_to(runs[0].started_at_microseconds, earliest)
    return rehearse(
        plan,
        runs,
        assumed,
        salt,
        draw.random,
        before=before,
        begins_at_microseconds=begins_at,
        goes_on=lambda: time.monotonic() < deadline,
    )


def _recorded(api: AdminClient, agent: str, since: str) -> _Recorded:
    """The runs of the agent's default label, which a rollout is of. Raises CommandFailed where there are none."""
    label = api.get(f"/agents/{segment(agent)}")["default_label"]
    query = {"agent": agent, "from": time_ago(since), "quarantined": "false"}
    found = api.items("/runs", _MOST_RECORDED, query)
    runs = [_run(item) for item in cast("list[Document]", found["items"]) if item["kind"] == "live"]
    kept, left_out = replayable(reversed(runs), label)
    if not kept:
        others = f" ({_told_left_out(left_out)})" if left_out else ""
        raise CommandFailed(
            f"no runs of {agent} since {since} that label {label} served{others}: leave --since out to make traffic up"
        )
    before = runs_before(len(kept))
    return _Recorded(kept[:before], kept[before:], left_out, found["next"] is not None)


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
        tags=item["tags"],
        version=item["version"],
        label=item["label"],
        arm=item["arm"],
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


def _made_up(draw: random.Random, asked: Rehearsed, tags: Mapping[str, str]) -> Iterator[Run]:
    """Runs at even distances by users of whom some call far more often than others."""
    weights = list(itertools.accumulate(math.exp(draw.gauss(0, _ACTIVITY_SIGMA)) for _ in range(asked.users)))
    count = min(_MOST_MADE, math.ceil(asked.runs_per_hour * 24 * asked.days))
    for number in range(count):
        (user,) = draw.choices(range(asked.users), cum_weights=weights)
        yield Run(
            id="",
            agent="",
            started_at_microseconds=round(number * 3.6e9 / asked.runs_per_hour),
            duration_microseconds=round(1e6 * draw.lognormvariate(0, _SPREAD_SIGMA)),
            user=f"user-{user}",
            tags=tags,
            status=200,
            cost_nanodollars=round(1e6 * draw.lognormvariate(0, _SPREAD_SIGMA)),
        )


def _document(asked: Rehearsed, lived: Sequence[Rehearsal], recorded: _Recorded | None) -> dict[str, Any]:
    ended = {end: sum(one.end == end for one in lived) for end in _ENDS}
    return {
        "agent": asked.agent,
        "recorded_runs": None if recorded is None else len(recorded.before) + len(recorded.lived),
        "runs_before": None if recorded is None else len(recorded.before),
        "left_out_runs": None if recorded is None else {why: recorded.left_out.get(why, 0) for why in _LEFT_OUT},
        "repeats": len(lived),
        "repeats_asked": asked.repeats,
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
            "waits": [{"what": wait.what, "have": wait.have, "need": wait.need} for wait in lived[0].waits],
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
    over = next((one for one in lived if one.end == "traffic_over"), None)
    if over is not None and over.waits:
        lines.append(f"traffic ended before it could be decided: {waiting(tuple(over.waits))}")
    if over is not None and not over.knows_thresholds:
        lines.append(f"latency could not be judged: that takes {FIRST_RUNS:,} successful runs of stable")
    if len(lived) < document["repeats_asked"]:
        lines.append(f"stopped in time: {document['repeats_asked']} times were asked for")
    return lines


def _about_traffic(plan: Plan, recorded: _Recorded | None) -> list[str]:
    """What traffic it was, as far as it is not what one would think."""
    if recorded is None:
        tags = ", ".join(f"{tag}={value}" for tag, value in plan.eligible.items())
        return [f"made-up users all carry what the plan asks for: {tags}"] if tags else []
    lines = [
        f"replayed {len(recorded.lived):,} recorded runs"
        + (f"; latency and cost are held against the {len(recorded.before):,} before them" if recorded.before else "")
    ]
    if recorded.left_out:
        lines.append(f"left out {_told_left_out(recorded.left_out)}")
    if recorded.is_cut:
        lines.append(f"there are more: only the newest {_MOST_RECORDED:,} runs were looked at")
    return lines


def _told_left_out(left_out: Mapping[LeftOut, int]) -> str:
    return ", ".join(f"{count:,} {_LEFT_OUT[why]}" for why, count in left_out.items())


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return statistics.median(ordered) if share == 0.5 else ordered[min(len(ordered) - 1, int(share * len(ordered)))]
