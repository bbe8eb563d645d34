"""A plan from what people write (JSON or YAML), every problem named with its place, and back again.

    steps: [{percentage: 5, min_duration: 15m, min_runs: 200, min_users: 20}, …]
    guards: {errors: {weight: 4, tolerance: 1.0}, cost_per_success: {tolerance: 0.1}, outcome.validation: {kind: rate}}
    signals: {output_tokens: {tolerance: 0.2}}
    hard_triggers: [{metric: errors, rate: 0.5, min_runs: 20, min_bad: 10}, {metric: outcome.incident.high}]
    alpha: 0.05
    max_step_duration: 7d
    on_inconclusive: hold | advance | rollback
    at_end: promote | wait
    promotion_odds_ratio: 2.0
    watch: 45m
    eligible: {tag: value}
    pinned: {user: candidate | stable}
    arms: {b: 20, c: 20}        (shares in per cent, fixed, in the place of steps; each arm is held against stable by itself)
    schedule: {not_before: …, business_hours: …, freezes: […]}        (schedule.py)
    shadow: {percentage: 10, cap_usd: 5, min_duration: 15m, min_runs: 200, min_users: 20, tools_are_safe: false, callers_keys: false}
    name: cautious

What is left out is the default plan's. A metric that the proxy does not measure is refused with the nearest name, because a
guard that nobody feeds would hold the rollout for ever.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NotRequired, TypedDict, cast

from proxy.core.bucketing import buckets_for
from proxy.core.calls.outcomes import SEVERITIES
from proxy.core.names import check_plan_name
from proxy.core.nearest import nearest_of
from proxy.core.releasing.releases import CANDIDATE, STABLE
from proxy.core.rollouts.members import (
    bad_plan,
    count_at,
    list_at,
    number_at,
    object_at,
    one_of,
    shares_at,
    span_at,
    tags_at,
    users_at,
)
from proxy.core.rollouts.plan import (
    AT_END,
    DEFAULT_PLAN,
    INCIDENT,
    MEASURED,
    ON_INCONCLUSIVE,
    OUTCOME_PREFIX,
    AtEnd,
    Guard,
    HardTrigger,
    MetricKind,
    OnInconclusive,
    Plan,
    Shadow,
    Step,
)
from proxy.core.rollouts.schedule import (
    Schedule,
    ScheduleDocument,
    check_time_zone,
    read_schedule,
    schedule_document,
)
from proxy.core.shapes import Count, Share, Span, Usd
from proxy.core.times import span_text

_KEYS = (
    "steps",
    "guards",
    "signals",
    "hard_triggers",
    "alpha",
    "max_step_duration",
    "on_inconclusive",
    "at_end",
    "promotion_odds_ratio",
    "watch",
    "eligible",
    "pinned",
    "arms",
    "schedule",
    "shadow",
    "name",
)
_SHADOW_KEYS = (
    "percentage",
    "cap_usd",
    "min_duration",
    "min_runs",
    "min_users",
    "tools_are_safe",
    "callers_keys",
)
#: The step of a share that stays until somebody moves it.
_WITHOUT_END: Final = (Step(0, float("inf"), 0, 0),)
_MOST_STEPS = 50
_MOST_GUARDS = 20


def read_plan(document: object) -> Plan:
    """The plan a document describes. Raises BadInput(`bad_plan`) that names the member."""
    plan = object_at(document, "plan", _KEYS)
    guards = DEFAULT_PLAN.guards if "guards" not in plan else _guards(plan["guards"], "guards")
    signals = _guards(plan.get("signals", {}), "signals")
    if not guards:
        raise bad_plan("guards", "needs at least one metric: a rollout that nothing can take back is a label move")
    twice = {guard.metric for guard in guards} & {signal.metric for signal in signals}
    if twice:
        raise bad_plan("signals", f"names {sorted(twice)[0]}, which is a guard already")
    odds = plan.get("promotion_odds_ratio")
    arms = shares_at(plan, "arms")
    steps = _WITHOUT_END if arms else DEFAULT_PLAN.steps if "steps" not in plan else _steps(plan["steps"])
    shadow, before = (None, ()) if plan.get("shadow") is None else read_shadow(plan["shadow"])
    if shadow is not None and steps[0].percentage == 0:
        raise bad_plan("steps[0].percentage", "must be above 0: the step before it is the shadow's, at no share")
    return Plan(
        steps=(*before, *steps),
        shadow=shadow,
        guards=guards,
        signals=signals,
        hard_triggers=_triggers(plan["hard_triggers"]) if "hard_triggers" in plan else DEFAULT_PLAN.hard_triggers,
        alpha=number_at(plan.get("alpha", DEFAULT_PLAN.alpha), "alpha", 1e-6, 0.5),
        most_step_seconds=float("inf") if arms else span_at(plan, "max_step_duration", DEFAULT_PLAN.most_step_seconds),
        on_inconclusive=one_of(plan, "on_inconclusive", ON_INCONCLUSIVE, DEFAULT_PLAN.on_inconclusive),
        at_end="wait" if arms else one_of(plan, "at_end", AT_END, DEFAULT_PLAN.at_end),
        promotion_odds_ratio=None if odds is None else number_at(odds, "promotion_odds_ratio", 1.01, 100.0),
        watch_seconds=span_at(plan, "watch", DEFAULT_PLAN.watch_seconds),
        eligible=tags_at(plan.get("eligible", {}), "eligible"),
        pinned=users_at(plan.get("pinned", {}), "pinned", (STABLE, *(arms or (CANDIDATE,)))),
        arms=arms,
        schedule=read_schedule(plan.get("schedule")),
        name=None if plan.get("name") is None else check_plan_name(plan["name"]),
    )


def read_new_plan(document: object) -> Plan:
    """The plan a document describes, which somebody makes now: its time zone has to be one. Raises BadInput(`bad_plan`)."""
    plan = read_plan(document)
    check_time_zone(plan.schedule)
    return plan


def fixed_share(percentage: float, eligible: Mapping[str, str], pinned: Mapping[str, object]) -> Plan:
    """The plan of a share that stays until somebody moves it: one step without an end, guarded like the default plan. Raises
    BadInput(`bad_plan`) for what `pinned` cannot be."""
    return Plan(
        steps=(replace(_WITHOUT_END[0], percentage=percentage),),
        guards=DEFAULT_PLAN.guards,
        hard_triggers=DEFAULT_PLAN.hard_triggers,
        most_step_seconds=float("inf"),
        at_end="wait",
        eligible=eligible,
        pinned=users_at(pinned, "pinned", (STABLE, CANDIDATE)),
    )


class StepDocument(TypedDict):
    """One share of the traffic, and what it waits for before the next: a span such as `15m` or `never`, runs, users."""

    percentage: Share
    min_duration: Span
    min_runs: Count
    min_users: Count


class GuardDocument(TypedDict):
    """How closely a metric is watched: `tolerance` is the odds ratio, or the relative difference, that is let pass."""

    kind: MetricKind
    weight: float
    tolerance: float


class TriggerDocument(TypedDict):
    """A rate of bad runs that takes the candidate back at once."""

    metric: str
    rate: float
    min_runs: Count
    min_bad: Count


class ShadowDocument(TypedDict):
    """The step before the first share: how much of stable's calls is copied, what all copies may cost, and what the step waits for."""

    percentage: Share
    cap_usd: Usd
    min_duration: Span
    min_runs: Count
    min_users: Count
    tools_are_safe: bool
    callers_keys: bool


class PlanDocument(TypedDict):
    """By which steps a candidate gets the traffic, and what takes it back."""

    steps: list[StepDocument]
    guards: dict[str, GuardDocument]
    signals: dict[str, GuardDocument]
    hard_triggers: list[TriggerDocument]
    alpha: float
    on_inconclusive: OnInconclusive
    at_end: AtEnd
    promotion_odds_ratio: float | None
    watch: Span
    eligible: dict[str, str]
    max_step_duration: Span
    #: Users who have an arm whatever their bucket and tags, and who are no evidence.
    pinned: dict[str, str]
    #: Arms of fixed shares in per cent; empty: one candidate, by steps. Plans of earlier releases do not speak of them.
    arms: NotRequired[dict[str, Share]]
    #: Null: it may always grow.
    schedule: ScheduleDocument | None
    #: Null: the candidate begins with the first share.
    shadow: ShadowDocument | None
    #: The named plan it came from.
    name: str | None


def plan_document(plan: Plan) -> PlanDocument:
    """As it is stored with the rollout and shown; `read_plan` reads it again. A step without an end has no min_duration."""
    return {
        "steps": [] if plan.arms else [_step_document(step) for step in plan.ramp],
        "guards": {guard.metric: _guard_document(guard) for guard in plan.guards},
        "signals": {signal.metric: _guard_document(signal) for signal in plan.signals},
        "hard_triggers": [
            {"metric": t.metric, "rate": t.rate, "min_runs": t.least_runs, "min_bad": t.least_bad}
            for t in plan.hard_triggers
        ],
        "alpha": plan.alpha,
        "on_inconclusive": plan.on_inconclusive,
        "at_end": plan.at_end,
        "promotion_odds_ratio": plan.promotion_odds_ratio,
        "watch": _span_or_never(plan.watch_seconds),
        "eligible": dict(plan.eligible),
        "max_step_duration": _span_or_never(plan.most_step_seconds),
        "pinned": dict(plan.pinned),
        "arms": dict(plan.arms),
        "schedule": None if plan.schedule == Schedule() else schedule_document(plan.schedule),
        "shadow": None if plan.shadow is None else shadow_document(plan.shadow, plan.steps[0]),
        "name": plan.name,
    }


def _step_document(step: Step) -> StepDocument:
    return {
        "percentage": step.percentage,
        "min_duration": _span_or_never(step.least_seconds),
        "min_runs": step.least_runs,
        "min_users": step.least_users,
    }


def _span_or_never(seconds: float) -> str:
    return "never" if seconds == float("inf") else span_text(seconds)


def _guard_document(guard: Guard) -> GuardDocument:
    return {"kind": guard.kind, "weight": guard.weight, "tolerance": guard.tolerance}


def _steps(value: object) -> tuple[Step, ...]:
    items = list_at(value, "steps", _MOST_STEPS)
    if not items:
        raise bad_plan("steps", "needs at least one step")
    steps = tuple(_step(item, f"steps[{index}]") for index, item in enumerate(items))
    for index, (before, after) in enumerate(itertools.pairwise(steps), start=1):
        if after.percentage <= before.percentage:
            raise bad_plan(
                f"steps[{index}].percentage", f"must be above the step before it, which has {before.percentage}"
            )
    return steps


def _step(value: object, at: str) -> Step:
    default = DEFAULT_PLAN.steps[0]
    step = object_at(value, at, ("percentage", "min_duration", "min_runs", "min_users"))
    if "percentage" not in step:
        raise bad_plan(f"{at}.percentage", "is missing")
    percentage = number_at(step["percentage"], f"{at}.percentage", 0, 100)
    buckets_for(percentage)
    return Step(
        percentage,
        span_at(step, "min_duration", default.least_seconds, f"{at}.min_duration"),
        count_at(step.get("min_runs", default.least_runs), f"{at}.min_runs"),
        count_at(step.get("min_users", default.least_users), f"{at}.min_users"),
    )


def read_shadow(value: object) -> tuple[Shadow, tuple[Step]]:
    """What is copied in the step before the first share, and that step. Raises BadInput(`bad_plan`)."""
    shadow = object_at(value, "shadow", _SHADOW_KEYS)
    if "cap_usd" not in shadow:
        raise bad_plan("shadow.cap_usd", "is missing: what all copies together may cost, in dollars")
    default = DEFAULT_PLAN.steps[0]
    step = Step(
        0,
        span_at(shadow, "min_duration", default.least_seconds, "shadow.min_duration"),
        count_at(shadow.get("min_runs", default.least_runs), "shadow.min_runs"),
        count_at(shadow.get("min_users", default.least_users), "shadow.min_users"),
    )
    percentage = number_at(shadow.get("percentage", 10), "shadow.percentage", 0.001, 100)
    buckets_for(percentage)
    return Shadow(
        percentage=percentage,
        cap_nanodollars=round(number_at(shadow["cap_usd"], "shadow.cap_usd", 1e-9, 1e6) * 1e9),
        tools_are_safe=_flag(shadow, "tools_are_safe"),
        takes_callers_keys=_flag(shadow, "callers_keys"),
    ), (step,)


def shadow_document(shadow: Shadow, step: Step) -> ShadowDocument:
    """As `read_shadow` reads it again."""
    told = _step_document(step)
    return {
        "percentage": shadow.percentage,
        "cap_usd": shadow.cap_nanodollars / 1e9,
        "min_duration": told["min_duration"],
        "min_runs": told["min_runs"],
        "min_users": told["min_users"],
        "tools_are_safe": shadow.tools_are_safe,
        "callers_keys": shadow.takes_callers_keys,
    }


def _flag(document: Mapping[str, object], key: str) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise bad_plan(f"shadow.{key}", "must be true or false")
    return value


def _guards(value: object, at: str) -> tuple[Guard, ...]:
    if not isinstance(value, Mapping):
        raise bad_plan(at, "must be an object of metrics, such as {errors: {weight: 4}}")
    named = cast("Mapping[Any, object]", value)
    if len(named) > _MOST_GUARDS:
        raise bad_plan(at, f"has more than {_MOST_GUARDS} metrics")
    return tuple(_guard(str(metric), options, f"{at}.{metric}") for metric, options in named.items())


def _guard(metric: str, value: object, at: str) -> Guard:
    options = object_at({} if value is None else value, at, ("kind", "weight", "tolerance"))
    kind = _kind(metric, options.get("kind"), at)
    if _is_incident(metric):
        raise bad_plan(
            at, "is told of bad runs alone, so that there is no rate to compare; make it one of hard_triggers"
        )
    tolerance = options.get("tolerance", 1.0 if kind == "rate" else 0.0)
    least, most = (1.0, 100.0) if kind == "rate" else (0.0, 100.0)
    weight = number_at(options.get("weight", 1.0), f"{at}.weight", 1e-3, 1e6)
    return Guard(metric, kind, weight, number_at(tolerance, f"{at}.tolerance", least, most))


def _is_incident(metric: str) -> bool:
    return metric == INCIDENT or metric in (f"{INCIDENT}.{severity}" for severity in SEVERITIES)


def _kind(metric: str, asked: object, at: str) -> MetricKind:
    if metric.startswith(OUTCOME_PREFIX) and len(metric) > len(OUTCOME_PREFIX):
        kind = "score" if asked is None and metric == "outcome.score" else "rate" if asked is None else asked
        if kind not in ("rate", "score"):
            raise bad_plan(f"{at}.kind", "of an outcome is rate (true is bad unless it is validation) or score")
        return cast("MetricKind", kind)
    if metric not in MEASURED:
        hint = nearest_of(metric, (*MEASURED, OUTCOME_PREFIX + metric))
        raise bad_plan(
            at, f"is no metric the proxy measures{hint or '.'} An outcome that people report is outcome.NAME"
        )
    if asked is not None and asked != MEASURED[metric]:
        raise bad_plan(f"{at}.kind", f"is {MEASURED[metric]} for this metric")
    return MEASURED[metric]


def _triggers(value: object) -> tuple[HardTrigger, ...]:
    triggers: list[HardTrigger] = []
    for index, item in enumerate(list_at(value, "hard_triggers", _MOST_GUARDS)):
        at = f"hard_triggers[{index}]"
        trigger = object_at(item, at, ("metric", "rate", "min_runs", "min_bad"))
        metric = trigger.get("metric")
        if not isinstance(metric, str) or _kind(metric, None, f"{at}.metric") != "rate":
            raise bad_plan(f"{at}.metric", "must be a rate, such as errors")
        if _is_incident(metric):
            # Each that is told is one: how many there are decides.
            trigger = {"rate": 1.0, "min_runs": 1, "min_bad": 1, **trigger}
        if "rate" not in trigger:
            raise bad_plan(f"{at}.rate", "is missing: the share of bad runs that acts at once, above 0 and up to 1")
        rate = number_at(trigger["rate"], f"{at}.rate", 1e-6, 1.0)
        least_runs = count_at(trigger.get("min_runs", 20), f"{at}.min_runs")
        triggers.append(
            HardTrigger(metric, rate, max(1, least_runs), count_at(trigger.get("min_bad", 10), f"{at}.min_bad"))
        )
    return tuple(triggers)
