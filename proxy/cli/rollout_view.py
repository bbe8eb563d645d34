"""How a rollout is shown to people: the last decision as a sentence, the metrics it rests on, and its plan in short."""

from collections.abc import Iterator
from typing import Any, Final, cast

from proxy.cli.admin_client import Document

_STATES: Final = {"running": "goes on", "holding": "holds", "taken_out": "taken out"}


def rollout_lines(found: Document) -> dict[str, object]:
    """Fields about judging; of a rollout that nothing judges, one that says so."""
    plan = found.get("plan")
    if not isinstance(plan, dict):
        return {"plan": "none: it began before there were plans, and nothing judges it"}
    progress = found.get("progress")
    lines: dict[str, object] = {"plan": plan_text(cast("Document", plan))}
    if isinstance(progress, dict):
        told = cast("Document", progress)
        lines["phase"] = told.get("phase")
        if not told.get("arms"):
            lines["decided"] = told.get("sentence")
        decision = cast("Document | None", told.get("decision"))
        closed = cast("Document | None", (decision or {}).get("schedule"))
        if closed:
            until = closed.get("until") or "no moment that is known"
            lines["schedule"] = f"lets nothing grow ({closed.get('by')}) until {until}"
        lines |= _metric_lines(decision)
        for name, arm in cast("dict[str, Document]", told.get("arms") or {}).items():
            lines[f"arm {name}"] = (
                f"version {arm.get('version')}, {_STATES.get(str(arm.get('state')))}: {arm.get('sentence')}"
            )
            lines |= _metric_lines(cast("Document | None", arm.get("decision")), f"arm {name} ")
    watch = found.get("watch")
    if isinstance(watch, dict):
        lines |= _watch_lines(cast("Document", watch))
    return lines


def _metric_lines(decision: Document | None, of: str = "") -> dict[str, object]:
    """What each guard and signal says."""
    metrics = cast("list[Document]", (decision or {}).get("metrics") or [])
    return {f"{of}{one.get('metric')}": _metric_text(one) for one in metrics if one.get("role") != "hard_trigger"}


def _watch_lines(watch: Document) -> dict[str, object]:
    """What came of taking the candidate away, and the label's traffic around it."""
    lines: dict[str, object] = {"watch": watch.get("sentence")}
    for name, period in cast("dict[str, Document]", watch.get("periods") or {}).items():
        p50, p95 = (period.get(f"latency_{quantile}_microseconds") for quantile in ("p50", "p95"))
        cost = period.get("cost_per_run_nanodollars")
        latency = "" if not p50 or not p95 else f", latency {p50 / 1000:,.0f} ms, p95 {p95 / 1000:,.0f} ms"
        price = "" if cost is None else f", ${cost / 1e9:.6f} a run"
        counts = f"{period.get('runs')} runs, {period.get('errors')} errors, {period.get('refusals')} refusals"
        lines[f"watch {name}"] = counts + latency + price + "".join(_told(period))
    return lines


def _told(period: Document) -> Iterator[str]:
    """What was told of its runs, behind the rest."""
    for metric, told in cast("dict[str, Document]", period.get("outcomes") or {}).items():
        if told["told"]:
            yield f", {metric} bad {told['bad']} of {told['told']}"
        if told["numbers"]:
            yield f", {metric} {told['mean']:.3f} of {told['numbers']}"


def plan_text(plan: Document) -> str:
    """A plan in short: the name it came from, shares, end and guards."""
    steps = cast("list[Document]", plan.get("steps") or [])
    shares = " → ".join(f"{step.get('percentage'):g} %" for step in steps)
    arms = cast("dict[str, float]", plan.get("arms") or {})
    if arms:
        shares = ", ".join(f"{name} {share:g} %" for name, share in arms.items()) + " until somebody moves them"
    shadow = plan.get("shadow")
    if isinstance(shadow, dict):
        shares = f"copies of {cast('Document', shadow).get('percentage'):g} % in the shadow → {shares}"
    guards = ", ".join(cast("dict[str, Any]", plan.get("guards") or {}))
    name = f"{plan['name']}: " if plan.get("name") else ""
    then = "" if arms else f", then {plan.get('at_end')}"
    return f"{name}{shares}{then}; guarded by {guards}"


def _metric_text(metric: Document) -> str:
    candidate, stable = cast("Document", metric.get("candidate")), cast("Document", metric.get("stable"))
    counts = f"{candidate.get('runs')} runs"
    if candidate.get("bad") is not None:
        counts = f"{candidate.get('bad')} of {candidate.get('runs')}"
        if stable.get("runs") is not None:
            counts += f" against {stable.get('bad')} of {stable.get('runs')}"
    effect, interval = metric.get("effect"), metric.get("interval")
    if isinstance(effect, float) and isinstance(interval, list):
        low, high = cast("list[float]", interval)
        counts += f"; {effect:.2f} times stable's ({low:.2f} to {high:.2f})"
    return f"{metric.get('verdict')}: {counts}; evidence {metric.get('evidence')} to 1"
