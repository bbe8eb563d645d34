"""Plans under a name, which any agent's rollout can be started with.

Decision: a rollout keeps a copy of the plan, with the name it came from, and no reference: what a running rollout does follows from
its own row, whatever becomes of the named plan. Not taken: numbered revisions of plans; the audit log has each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.reading import plan_document
from proxy.core.shapes import JsonObject, Moment, PlanName, Who, Why
from proxy.core.times import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPlan:
    """One of them as it is now."""

    name: str
    #: The plan's document; it says the name, too.
    plan: Mapping[str, Any]
    updated_by: str
    updated_at_microseconds: int
    why: str = ""
    #: Where it came from, such as a git commit and path.
    source: Mapping[str, Any] = field(default_factory=dict[str, Any])


class NamedPlanDocument(TypedDict):
    """A plan that rollouts can be started with by its name."""

    name: PlanName
    plan: JsonObject
    source: JsonObject
    updated_by: Who
    why: Why
    updated_at: Moment


def named_plan_document(named: NamedPlan) -> NamedPlanDocument:
    """As the admin API answers it and the audit log keeps it."""
    return {
        "name": named.name,
        "plan": dict(named.plan),
        "source": dict(named.source),
        "updated_by": named.updated_by,
        "why": named.why,
        "updated_at": rfc3339(named.updated_at_microseconds),
    }


def frozen_plan(plan: Plan) -> dict[str, Any]:
    """A plan's document as plain JSON values, as it is kept under a name and with rollouts."""
    return {**plan_document(plan)}
