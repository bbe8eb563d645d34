"""What one finished run says about each metric that the proxy measures itself.

The error metric counts every answer that was no success and every broken stream of an arm; not our own refusals by switch, cap
or key, which say nothing about a version. Mistakes of callers hit both arms alike, a parameter that the candidate's model
rejects does not, so both count. A client that left before the end is a run, and no failure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.core.calls.outcomes import SEVERITIES, Severity
from proxy.core.calls.runs import Run
from proxy.core.rollouts.plan import OUTCOME_PREFIX

#: Our own refusals that are nobody's fault but the operator's.
_OURS: Final = frozenset({"agent_disabled", "spend_cap_exceeded", "unpriceable", "rate_limit_exceeded", "switch_reply"})
_TIMEOUTS: Final = frozenset({"upstream_timeout"})
_BROKEN: Final = frozenset({"stream_broken", "upstream_broken", "upstream_unreachable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a run is held against, frozen when the rollout starts; None: not known yet, and the metric says nothing."""

    latency_microseconds: tuple[float, ...] = ()
    first_byte_microseconds: tuple[float, ...] = ()
    #: Costs above stable's 99th percentile count as that, so that no single run decides.
    cost_nanodollars: int | None = None
    #: The spread of stable's scores, by metric.
    score_deviations: Mapping[str, float] = field(default_factory=dict[str, float])


def outcome_metrics(name: str, severity: Severity | None) -> tuple[str, ...]:
    """The metrics that an outcome tells: that of its name, and of an incident those of its severity and of all below it, so that
    `outcome.incident.high` is told by high and critical ones."""
    metric = OUTCOME_PREFIX + name
    if severity is None:
        return (metric,)
    return metric, *(f"{metric}.{one}" for one in SEVERITIES[: SEVERITIES.index(severity) + 1])


def counts(run: Run) -> bool:
    """Whether a run takes part at all."""
    return run.in_analysis and counts_for_anybody(run)


def counts_for_anybody(run: Run) -> bool:
    """Whether a run says something about the version it had, in a rollout or not."""
    return not run.quarantined and run.kind == "live" and not _is_ours(run)


def is_bad(metric: str, run: Run) -> bool:
    """Whether a run is bad by a rate that needs no thresholds, such as errors."""
    return _RATES[metric](run)


def told_rate(metric: str, run: Run, thresholds: Thresholds) -> tuple[bool, ...] | None:
    """Whether a run that takes part is bad by a rate of `MEASURED`, by each threshold where there are several; None: it does not tell."""
    is_bad = _RATES.get(metric)
    if is_bad is not None:
        return (is_bad(run),)
    if run.result != "ok":
        return None
    if metric == "latency":
        limits, taken = thresholds.latency_microseconds, run.duration_microseconds
    else:
        limits, taken = thresholds.first_byte_microseconds, run.time_to_first_byte_microseconds
    return tuple([taken > limit for limit in limits]) if limits and taken is not None else None


def told_ratio(metric: str, run: Run, thresholds: Thresholds) -> tuple[float, float] | None:
    """What a run that takes part adds to numerator and denominator of a ratio of `MEASURED`; None: it does not tell."""
    is_ok = run.result == "ok"
    if metric == "output_tokens":
        return (float(run.output_tokens), 1.0) if is_ok and run.output_tokens is not None else None
    if metric == "uncached_input":
        cached = run.cached_tokens or 0
        return (float(run.input_tokens - cached), float(run.input_tokens)) if is_ok and run.input_tokens else None
    cost, most = run.cost_nanodollars, thresholds.cost_nanodollars
    if cost is None:
        return None
    return float(cost if most is None else min(cost, most)), 1.0 if is_ok or metric == "cost" else 0.0


def _is_ours(run: Run) -> bool:
    return run.result == "refused" and run.error_class in _OURS


def _is_error(run: Run) -> bool:
    return run.result in ("error", "refused")


def _is_empty(run: Run) -> bool:
    return run.result == "ok" and not run.tool_call_count and run.output_tokens == 0


_RATES: Final[Mapping[str, Callable[[Run], bool]]] = {
    "errors": _is_error,
    "errors.provider": lambda run: run.result == "error" and run.status >= 500 and not _is_cut(run),
    "errors.rate_limited": lambda run: run.result == "error" and run.status == 429,
    "errors.rejected": lambda run: _is_error(run) and 400 <= run.status < 500 and run.status != 429,
    "errors.broken": lambda run: run.error_class in _BROKEN,
    "errors.timeout": lambda run: run.error_class in _TIMEOUTS,
    "refusals": lambda run: run.refusal or run.finish in ("refused", "filtered"),
    "empty_answers": _is_empty,
    "truncated_answers": lambda run: run.result == "ok" and run.finish == "length",
    "tool_call_rate": lambda run: run.tool_call_count > 0,
}


def _is_cut(run: Run) -> bool:
    return run.error_class in _BROKEN or run.error_class in _TIMEOUTS
