"""Recorded runs into the cells of reports. What a run's lane says (core/calls/runs) is worked out once a lane.

Whether a run is bad, and whether it says anything about its version, is core/rollouts/measuring's answer, so that a report and a
rollout never disagree. Quarantined runs count for nothing but their users, who were there; calls that the proxy refused by switch,
cap or key are `blocked`. Every run counts in the hour in which it began, and so do its outcomes, whenever they are told.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from proxy.core.calls.outcomes import OutcomeValue
from proxy.core.calls.runs import Run
from proxy.core.reports.alike import AlikeRuns
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


#: By lane, agent and the microsecond in which the hour began.
Alike = dict[tuple[int, str, int], AlikeRuns]


def count_runs(
    lines: Sequence[Sequence[Any]],
    lanes: Mapping[int, LaneFacts | None],
    cells: MutableMapping[Cell, RunSums],
    sign: int = 1,
) -> None:
    """Add runs (the members of RunLine each) to their cells; with `sign` -1 take them away again, but for their users."""
    found: Alike = {}
    for lane, agent, started, duration, quarantined, user, conversation, *amounts, outcomes in lines:
        hour = started - started % HOUR_MICROSECONDS
        alike = found.get((lane, agent, hour))
        if alike is None:
            alike = found[lane, agent, hour] = AlikeRuns()
        if not quarantined:
            alike.add(user or conversation, duration, *amounts)
            facts = lanes[lane]
            if outcomes and facts is not None:
                sums = cells.setdefault(Cell(agent, hour, *facts.place), RunSums())
                for name, value in outcomes:
                    count_outcome(sums, name, value, sign)
        elif unit := user or conversation:
            alike.saw(unit)
    count_alike(found, lanes, cells, sign)


def count_alike(
    found: Alike, lanes: Mapping[int, LaneFacts | None], cells: MutableMapping[Cell, RunSums], sign: int = 1
) -> None:
    """As count_runs, of runs that are added up by what they have in common; without what was told of them."""
    for (lane, agent, hour), alike in found.items():
        facts = lanes[lane]
        if facts is None:
            continue
        sums = cells.setdefault(Cell(agent, hour, *facts.place), RunSums())
        sums.users.add(alike.users)
        if facts.counts:
            _count(sums, facts, alike, sign)
        else:
            sums.add("counts", "blocked", sign * alike.runs)


def _count(sums: RunSums, facts: LaneFacts, alike: AlikeRuns, sign: int) -> None:
    """Runs of one lane, which say something about their version."""
    priced = alike.runs - alike.unpriced
    for name, amount in (
        ("runs", alike.runs),
        ("anonymous", alike.anonymous),
        ("priced", priced),
        ("priced_ok", priced if facts.is_ok else 0),
        ("cost_nanodollars", alike.cost_nanodollars),
    ):
        sums.add("counts", name, sign * amount)
    for metric in facts.bad:
        sums.add("bad", metric, sign * alike.runs)
    if facts.may_be_empty:
        sums.add("bad", EMPTY_ANSWERS, sign * alike.empty)
    if facts.is_ok:
        _count_successes(sums, alike, sign)
    if facts.is_in_clusters:
        _count_clusters(sums, facts, alike, sign)


def _count_successes(sums: RunSums, alike: AlikeRuns, sign: int) -> None:
    for name, amount in (
        ("ok", alike.runs),
        ("output_told", alike.runs - alike.output_untold),
        ("output_tokens", alike.output_tokens),
        ("input_told", alike.runs - alike.input_untold),
        ("input_tokens", alike.input_tokens),
        ("cached_tokens", alike.cached_tokens),
    ):
        sums.add("counts", name, sign * amount)
    _add_all(sums, "latency", alike.latency, sign)
    _add_all(sums, "first_byte", alike.first_byte, sign)


def _count_clusters(sums: RunSums, facts: LaneFacts, alike: AlikeRuns, sign: int) -> None:
    """By clusters of users, so that those who are alike do not count for more than they are."""
    priced = {cluster: runs - alike.cluster_unpriced.get(cluster, 0) for cluster, runs in alike.cluster_runs.items()}
    _add_all(sums, "cluster_runs", alike.cluster_runs, sign)
    for metric in CLUSTERED_RATES:
        if metric in facts.bad:
            _add_all(sums, f"cluster_{metric}", alike.cluster_runs, sign)
    _add_all(sums, "cluster_priced", priced, sign)
    if facts.is_ok:
        _add_all(sums, "cluster_priced_ok", priced, sign)
    _add_all(sums, "cluster_cost", alike.cluster_cost, sign)


def _add_all(sums: RunSums, group: str, amounts: Mapping[int, int], sign: int) -> None:
    for name, amount in amounts.items():
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
