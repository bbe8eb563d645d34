"""Recorded runs into the cells of reports. What a run's lane says (core/calls/runs) is worked out once a lane.

Whether a run is bad, and whether it says anything about its version, is core/rollouts/measuring's answer, so that a report and a
rollout never disagree. Quarantined runs count for nothing but their users, who were there; calls that the proxy refused by switch,
cap or key are `blocked`. Every run counts in the hour in which it began, and so do its outcomes, whenever they are told.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from proxy.core.calls.latency import latency_bucket
from proxy.core.calls.outcomes import OutcomeValue
from proxy.core.calls.runs import Run
from proxy.core.evidence.distinct import BITS, distinct_hash
from proxy.core.reports.sums import HOUR_MICROSECONDS, MILLIONTHS, Cell, RunSums
from proxy.core.rollouts.measuring import counts_for_anybody, is_bad

#: Rates by a run's lane alone; an empty answer is told by its tokens too.
LANE_RATES: Final = (
    "errors",
    "errors.provider",
    "errors.rate_limited",
    "errors.rejected",
    "errors.broken",
    "errors.timeout",
    "refusals",
    "truncated_answers",
    "tool_call_rate",
)
EMPTY_ANSWERS: Final = "empty_answers"
#: Rates whose runs are told apart by clusters of users.
CLUSTERED_RATES: Final = ("errors", "refusals")
#: The upper six of 32 bits; the lower sixteen say which bit of the map of users is set.
_CLUSTER_SHIFT: Final = 26
#: What tokens and money of a run are bounded by before they come here, so that no run breaks the sums of the others.
MOST_OF_A_RUN: Final = 2**50


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """What all runs of a lane have in common. `place`: version, label, rollout, step, arm, as a cell has them."""

    place: tuple[int, str, str, int, str]
    counts: bool
    is_ok: bool
    may_be_empty: bool
    is_in_clusters: bool
    bad: tuple[str, ...]


def lane_facts(run: Run) -> LaneFacts | None:
    """Of the lane a run has; None for runs that no report is about (shadow, drill)."""
    if run.kind != "live":
        return None
    told = replace(run, quarantined=False, output_tokens=0)
    return LaneFacts(
        place=(
            run.version or 0,
            run.label or "",
            run.rollout or "",
            -1 if run.step is None else run.step,
            run.arm or "",
        ),
        counts=counts_for_anybody(told),
        is_ok=run.result == "ok",
        may_be_empty=is_bad(EMPTY_ANSWERS, told),
        is_in_clusters=run.rollout is None or run.in_analysis,
        bad=tuple(metric for metric in LANE_RATES if is_bad(metric, told)),
    )


class RunLine(NamedTuple):
    """What is read of one recorded run."""

    lane: int
    agent: str
    started_at_microseconds: int
    duration_microseconds: int
    quarantined: bool
    user: str | None
    conversation: str | None
    first_byte_microseconds: int | None
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    cost_nanodollars: int | None
    #: (name, value) of what was told of it until then.
    outcomes: Sequence[tuple[str, OutcomeValue]]


def count_runs(
    lines: Sequence[Sequence[Any]],
    lanes: Mapping[int, LaneFacts | None],
    cells: MutableMapping[Cell, RunSums],
    sign: int = 1,
) -> None:
    """Add runs (the members of RunLine each) to their cells; with `sign` -1 take them away again, but for their users."""
    alike: dict[tuple[int, str, int], list[RunLine]] = {}
    hashes = {unit: distinct_hash(unit) for unit in {line[5] or line[6] for line in lines} if unit}
    for line in lines:
        hour = line[2] - line[2] % HOUR_MICROSECONDS
        alike.setdefault((line[0], line[1], hour), []).append(RunLine._make(line))
    for (lane, agent, hour), runs in alike.items():
        facts = lanes[lane]
        if facts is None:
            continue
        cell = Cell(agent, hour, *facts.place)
        sums = cells.get(cell)
        if sums is None:
            sums = cells[cell] = RunSums()
        sums.users.add([hashes[unit] % BITS for run in runs if (unit := run.user or run.conversation)])
        counted = [run for run in runs if not run.quarantined]
        for run in counted:
            for name, value in run.outcomes:
                count_outcome(sums, name, value, sign)
        if facts.counts:
            _count(sums, facts, counted, hashes, sign)
        else:
            sums.add("counts", "blocked", sign * len(counted))


def _count(sums: RunSums, facts: LaneFacts, runs: Sequence[RunLine], hashes: Mapping[str, int], sign: int) -> None:
    """Runs of one lane, which say something about their version."""
    count = len(runs)
    costs = [run.cost_nanodollars for run in runs if run.cost_nanodollars is not None]
    for name, amount in (
        ("runs", count),
        ("anonymous", sum([not (run.user or run.conversation) for run in runs])),
        ("priced", len(costs)),
        ("priced_ok", len(costs) if facts.is_ok else 0),
        ("cost_nanodollars", sum(costs)),
    ):
        sums.add("counts", name, sign * amount)
    for metric in facts.bad:
        sums.add("bad", metric, sign * count)
    if facts.may_be_empty:
        sums.add("bad", EMPTY_ANSWERS, sign * sum([run.output_tokens == 0 for run in runs]))
    if facts.is_ok:
        _count_successes(sums, runs, sign)
    if facts.is_in_clusters:
        _count_clusters(sums, facts, runs, hashes, sign)


def _count_successes(sums: RunSums, runs: Sequence[RunLine], sign: int) -> None:
    outputs = [run.output_tokens for run in runs if run.output_tokens is not None]
    inputs = [run for run in runs if run.input_tokens is not None]
    for name, amount in (
        ("ok", len(runs)),
        ("output_told", len(outputs)),
        ("output_tokens", sum(outputs)),
        ("input_told", len(inputs)),
        ("input_tokens", sum([run.input_tokens or 0 for run in inputs])),
        ("cached_tokens", sum([run.cached_tokens or 0 for run in inputs])),
    ):
        sums.add("counts", name, sign * amount)
    first_bytes = [run.first_byte_microseconds for run in runs if run.first_byte_microseconds is not None]
    _add_all(sums, "latency", [latency_bucket(run.duration_microseconds) for run in runs], sign)
    _add_all(sums, "first_byte", [latency_bucket(taken) for taken in first_bytes], sign)


def _count_clusters(
    sums: RunSums, facts: LaneFacts, runs: Sequence[RunLine], hashes: Mapping[str, int], sign: int
) -> None:
    """By clusters of users, so that those who are alike do not count for more than they are."""
    known = [
        (hashes[unit] >> _CLUSTER_SHIFT, run.cost_nanodollars) for run in runs if (unit := run.user or run.conversation)
    ]
    clusters = [cluster for cluster, _ in known]
    priced = [cluster for cluster, cost in known if cost is not None]
    _add_all(sums, "cluster_runs", clusters, sign)
    for metric in CLUSTERED_RATES:
        if metric in facts.bad:
            _add_all(sums, f"cluster_{metric}", clusters, sign)
    _add_all(sums, "cluster_priced", priced, sign)
    if facts.is_ok:
        _add_all(sums, "cluster_priced_ok", priced, sign)
    costs: dict[int, int] = {}
    for cluster, cost in known:
        if cost is not None:
            costs[cluster] = costs.get(cluster, 0) + cost
    for cluster, cost in costs.items():
        sums.add("cluster_cost", str(cluster), sign * cost)


def _add_all(sums: RunSums, group: str, names: Iterable[int], sign: int) -> None:
    for name, amount in Counter(names).items():
        sums.add(group, str(name), sign * amount)


def count_outcome(sums: RunSums, name: str, value: OutcomeValue, sign: int = 1) -> None:
    """Add what was told of a run: true or false, a number, or only that it was told (a text, an incident)."""
    if isinstance(value, bool):
        sums.add("outcome_true" if value else "outcome_false", name, sign)
    elif isinstance(value, int | float):
        millionths = round(value * MILLIONTHS)
        sums.add("outcome_numbers", name, sign)
        sums.add("outcome_sum", name, sign * millionths)
        sums.add("outcome_squares", name, sign * millionths * millionths)
    else:
        sums.add("outcome_other", name, sign)
