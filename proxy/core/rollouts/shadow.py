"""The step in the shadow: which rollouts are in it, which of stable's calls are copied, and what of the world a copy sees.

A copy is resolved over a snapshot in which the candidate serves everyone of that label, on an arm of its own: neither its run nor what
it costs is mistaken for a user's.

Decision: a copy counts in its own cap and in every other cap in dollars or tokens that is not about a user: the money is spent, and
what such a cap promises holds. It counts in no cap of calls or of calls in flight, which would refuse users for what they did not
ask.

Decision: outside the rollout's schedule nothing is copied, also where copies were made before: what a share of users has stays through a
freeze, because taking it away is a change too; a copy is nobody's, and made again at no cost to anybody. The step's clock stands still
meanwhile.

Decision: a call whose only key is its caller's is not copied unless the plan says so (`callers_keys`): whoever sent the key agreed to
one call. Nor is one that offers tools, or whose candidate does (`tools_are_safe`): the app runs nothing of an answer it does not get,
but a provider's own tools act while it is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from msgspec import structs

from proxy.core.bucketing import BUCKETS, bucket_of, buckets_for
from proxy.core.calls.runs import Run
from proxy.core.releasing.releases import CANDIDATE
from proxy.core.rollouts.plan import OUTCOME_PREFIX, Plan
from proxy.core.rollouts.schedule import Schedule, read_schedule
from proxy.core.scopes import CallFacts, Scope
from proxy.core.snapshot import AgentState, Arm, Rollout, Snapshot
from proxy.core.spending.caps import Cap

#: The arm that copies are on.
SHADOW_ARM: Final = "shadow"
_CAP: Final = "cap_shadow-"
_MONEY: Final = frozenset({"usd", "tokens"})
#: What is found out about an answer without anybody's word.
_FOUND: Final = frozenset({f"{OUTCOME_PREFIX}validation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStep:
    """What is copied of the calls of a rollout in its shadow step."""

    agent: str
    share_buckets: int
    tools_are_safe: bool
    takes_callers_keys: bool
    candidate: int
    #: Outside of which nothing is copied.
    schedule: Schedule

    def takes(self, run_id: str) -> bool:
        """Whether a call is among those that are copied: drawn by its id, and not by its user."""
        return bucket_of(SHADOW_ARM, run_id) < self.share_buckets


def is_in_shadow(rollout: Rollout) -> bool:
    """Whether a rollout is in its shadow step: it has one, and nobody was given the candidate yet."""
    return rollout.step == 0 and rollout.plan is not None and rollout.plan.get("shadow") is not None


def shadow_step(rollout: Rollout) -> ShadowStep | None:
    """What is copied now; None: nothing, also while the rollout is paused."""
    candidate = rollout.arm(CANDIDATE)
    if candidate is None or rollout.state != "running" or not is_in_shadow(rollout):
        return None
    plan = cast("Mapping[str, Any]", rollout.plan)
    shadow = plan["shadow"]
    return ShadowStep(
        agent=rollout.agent,
        share_buckets=buckets_for(shadow["percentage"]),
        tools_are_safe=shadow["tools_are_safe"],
        takes_callers_keys=shadow["callers_keys"],
        candidate=candidate.version,
        schedule=read_schedule(plan.get("schedule")),
    )


def shadow_snapshot(snapshot: Snapshot) -> Snapshot:
    """What copies are decided on: the agents with a label in the shadow, which the candidate serves, and the caps that copies count in."""
    shadowed = {name: _shadowed(state) for name, state in snapshot.agents.items() if state.rollouts}
    agents = {name: state for name, state in shadowed.items() if state is not None}
    return replace(snapshot, agents=agents, caps=caps_of_copies(snapshot.caps) if agents else (), tokens={})


def _shadowed(state: AgentState) -> AgentState | None:
    rollouts: dict[str, Rollout] = {}
    for label, rollout in state.rollouts.items():
        step = shadow_step(rollout)
        if step is not None:
            rollouts[label] = replace(rollout, arms=(Arm(SHADOW_ARM, step.candidate, ((0, BUCKETS),)),))
    return replace(state, rollouts=rollouts) if rollouts else None


def caps_of_copies(caps: Sequence[Cap]) -> tuple[Cap, ...]:
    """Those that copies count in."""
    return tuple(cap for cap in caps if cap.unit in _MONEY and cap.scope.user is None)


def is_copy(facts: CallFacts) -> bool:
    """Whether it is a copy that is about to be made."""
    return facts.arm == SHADOW_ARM


def cap_of_shadow(rollout: Rollout, who: str, now_microseconds: int) -> Cap | None:
    """The cap that all copies of a rollout that begins are under; None: it has no shadow step."""
    if not is_in_shadow(rollout):
        return None
    plan = cast("Mapping[str, Any]", rollout.plan)["shadow"]
    return Cap(
        id=cap_id(rollout),
        scope=Scope(agent=rollout.agent, rollout=rollout.id, arm=SHADOW_ARM),
        window="total",
        unit="usd",
        limit_amount=round(plan["cap_usd"] * 1e9),
        at_limit="block",
        why=f"what the shadow of rollout {rollout.id} may cost",
        created_by=who,
        created_at_microseconds=now_microseconds,
    )


def cap_id(rollout: Rollout) -> str:
    """Of that cap: rollouts are numbered per agent, and never again."""
    return f"{_CAP}{rollout.agent}-{rollout.id}"


def caps_left_behind(snapshot: Snapshot) -> list[Cap]:
    """Caps of copies of which there are no more: the rollout has gone on, or is over."""
    found = [cap for cap in snapshot.caps if cap.id.startswith(_CAP)]
    if not found:
        return []
    active = (rollout for state in snapshot.agents.values() for rollout in state.rollouts.values())
    needed = {cap_id(rollout) for rollout in active if is_in_shadow(rollout)}
    return [cap for cap in found if cap.id not in needed]


def is_own_cap(cap: Cap) -> bool:
    """Whether it holds what copies of a rollout cost."""
    return cap.is_hard and cap.unit == "usd" and cap.scope.arm == SHADOW_ARM and cap.scope.rollout is not None


def as_candidate(run: Run) -> Run:
    """The run of a copy as evidence counts it."""
    return structs.replace(run, arm=CANDIDATE, kind="live")


def shadow_notices(plan: Mapping[str, Any] | None, *, offers_tools: bool, has_own_key: bool) -> list[str]:
    """Why few of stable's calls will be copied for a candidate, or none, so that its step waits for them; nothing where the plan has no
    shadow. `has_own_key`: one of the settings pays for the candidate's calls wherever they go."""
    shadow = None if plan is None else plan.get("shadow")
    if not isinstance(shadow, Mapping):
        return []
    said = cast("Mapping[str, Any]", shadow)
    notices: list[str] = []
    if offers_tools and not said.get("tools_are_safe"):
        notices.append(
            "the candidate offers tools, so that nothing is copied in the shadow unless it says tools_are_safe: true"
        )
    if not has_own_key and not said.get("callers_keys"):
        notices.append(
            "the candidate's provider has no api_key in the settings, so that calls with their caller's own key are not copied in the "
            "shadow unless it says callers_keys: true"
        )
    return notices


def judged_by_copies(plan: Plan) -> Plan:
    """The plan with what runs tell by themselves: nobody reports an outcome of an answer that nobody got. One whose guards are
    outcomes alone stays as it is, and its step holds."""
    told = [guard for guard in plan.guards if _is_told(guard.metric)]
    if not told:
        return plan
    return replace(
        plan,
        guards=tuple(told),
        signals=tuple(signal for signal in plan.signals if _is_told(signal.metric)),
        hard_triggers=tuple(trigger for trigger in plan.hard_triggers if _is_told(trigger.metric)),
    )


def _is_told(metric: str) -> bool:
    return not metric.startswith(OUTCOME_PREFIX) or metric in _FOUND
