"""Proposals: changes of what traffic gets that wait for a second person.

A proposal is about one label as its author saw it (`if_release`). What it orders never changes; its state goes once from
`waiting` to `approved`, `rejected` or `stale`, the last by whatever else changed the label meanwhile. Whether a change has
to wait is protection.py's matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict, cast

from proxy.core.errors import Conflict
from proxy.core.shapes import AgentName, JsonObject, LabelName, Moment, ReleaseNumber, Share, VersionNumber, Who, Why
from proxy.core.times import rfc3339
from proxy.core.tokens import AdminCaller, role_insufficient

#: Point the label at the version; start a rollout of it; end the running rollout with it.
ProposalAction = Literal["move", "start_rollout", "promote"]
ProposalState = Literal["waiting", "approved", "rejected", "stale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One change that somebody wants. `before` is the version the label served, None where it was not set."""

    agent: str
    id: str
    action: ProposalAction
    label: str
    before: int | None
    #: Of a rollout with several arms the first one's.
    version: int
    if_release: int
    #: What else the action needs: `percentage` or `arms`, `eligible` and `plan` of a rollout to start, `rollout` to promote.
    order: Mapping[str, Any] = field(default_factory=dict[str, Any])
    proposed_by: str
    why: str
    evidence: Sequence[Mapping[str, Any]] = field(default_factory=tuple[Mapping[str, Any], ...])
    created_at_microseconds: int
    state: ProposalState = "waiting"
    decided_by: str | None = None
    decided_why: str | None = None
    decided_at_microseconds: int | None = None

    @property
    def versions(self) -> list[int]:
        """Every version that would get traffic."""
        return [arm["version"] for arm in self.order.get("arms", ())] or [self.version]

    def decided(self, state: ProposalState, who: str, why: str, at_microseconds: int) -> "Proposal":
        """The proposal as it is from now on."""
        return replace(self, state=state, decided_by=who, decided_why=why, decided_at_microseconds=at_microseconds)

    def asks_the_same(self, other: "Proposal") -> bool:
        """True where the same person asks for the same thing of the same release, as a request sent again does."""
        return (self.action, self.label, self.version, self.if_release, self.order, self.proposed_by) == (
            other.action,
            other.label,
            other.version,
            other.if_release,
            other.order,
            other.proposed_by,
        )


def check_waiting(proposal: Proposal) -> None:
    """Raises Conflict: `proposal_stale` where the label changed since, `proposal_decided` where somebody decided."""
    if proposal.state == "stale":
        raise Conflict(
            "proposal_stale",
            f"the label {proposal.label!r} changed since ({proposal.decided_why}, by {proposal.decided_by}); propose again",
        )
    if proposal.state != "waiting":
        raise Conflict(
            "proposal_decided", f"proposal {proposal.id} was {proposal.state} by {proposal.decided_by} already"
        )


def check_second_person(proposal: Proposal, approver: str) -> None:
    """Raises Conflict(`second_person_required`) for whoever proposed it."""
    if proposal.proposed_by == approver:
        raise Conflict(
            "second_person_required", f"{approver} proposed this; somebody else has to approve it", param="id"
        )


def check_may_reject(proposal: Proposal, caller: AdminCaller) -> None:
    """An author may only take back what is theirs. Raises Forbidden(`role_insufficient`)."""
    if caller.role == "author" and caller.name != proposal.proposed_by:
        raise role_insufficient(caller.role, ["operator"], "; authors take back their own proposals only")


class ProposedArm(TypedDict):
    """An arm of a rollout that is proposed."""

    name: str
    version: VersionNumber
    percentage: Share


class ProposedOrder(TypedDict, total=False):
    """What else the action needs: `percentage`, or the `arms` with fixed shares, `eligible` and `plan` of a rollout to start,
    `rollout` to promote."""

    percentage: Share
    arms: list[ProposedArm]
    eligible: dict[str, str]
    plan: JsonObject | None
    rollout: str


class ProposalDocument(ProposedOrder):
    """A change of a protected label that waits for a second person, or was decided."""

    agent: AgentName
    id: str
    state: ProposalState
    action: ProposalAction
    label: LabelName
    #: None where the label was not set.
    before: VersionNumber | None
    version: VersionNumber
    if_release: ReleaseNumber
    proposed_by: Who
    why: Why
    evidence: list[JsonObject]
    created_at: Moment
    decided_by: Who | None
    decided_why: Why | None
    decided_at: Moment | None


def proposal_document(proposal: Proposal) -> ProposalDocument:
    """As the audit log keeps it; the admin API adds the difference between the two versions."""
    decided = proposal.decided_at_microseconds
    return {
        "agent": proposal.agent,
        "id": proposal.id,
        "state": proposal.state,
        "action": proposal.action,
        "label": proposal.label,
        "before": proposal.before,
        "version": proposal.version,
        "if_release": proposal.if_release,
        **cast("ProposedOrder", proposal.order),
        "proposed_by": proposal.proposed_by,
        "why": proposal.why,
        "evidence": [dict(item) for item in proposal.evidence],
        "created_at": rfc3339(proposal.created_at_microseconds),
        "decided_by": proposal.decided_by,
        "decided_why": proposal.decided_why,
        "decided_at": None if decided is None else rfc3339(decided),
    }
