"""Protected labels: who may move them, what evidence a move needs, and whether a second person must approve.

A protection is a setting of one agent and label, whether the label is set yet or not. It is about every way a version comes to
more of the label's traffic: a move, a rollout's start, growth and promotion. It is never about the way back: rollbacks,
aborts, smaller shares and switches that fall back to what the label served before need nothing. Counterpart: proposals.py, which says what waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from proxy.core.errors import Conflict
from proxy.core.releasing.releases import Release
from proxy.core.shapes import AgentName, LabelName
from proxy.core.tokens import Role, permits, role_insufficient

#: Authors never move a protected label; they propose.
Mover = Literal["operator", "admin"]
Evidence = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """The rules of one label of one agent."""

    agent: str
    label: str
    who_may_move: Mover = "operator"
    evaluation_required: bool = False
    approval_required: bool = False

    def check_mover(self, role: Role) -> None:
        """Raises Forbidden(`role_insufficient`) unless the role may move this label."""
        if not permits(role, self.who_may_move):
            hint = f"; {self.label!r} is protected, so propose the move instead (switchback proposals create)"
            raise role_insufficient(role, (self.who_may_move,), hint)

    def check_evidence(self, evidence: Evidence) -> None:
        """Raises Conflict(`evaluation_required`) where the label needs an evaluation and the evidence has none."""
        if self.evaluation_required and not has_evaluation(evidence):
            raise Conflict(
                "evaluation_required",
                f"the label {self.label!r} is protected: name the evaluation the version passed in `evidence`",
                param="evidence",
            )


def has_evaluation(evidence: Evidence) -> bool:
    """True where the evidence names an evaluation."""
    return any(item.get("kind") == "evaluation" and str(item.get("id", "")).strip() for item in evidence)


def check_goes_back(protection: Protection | None, history: Sequence[Release], version: int) -> None:
    """Raises Conflict(`never_served`) for a rollback of a protected label to a version the label never pointed to: that is a
    move under another name, past everyone who should see it."""
    if protection is not None and all(release.version != version for release in history):
        raise Conflict(
            "never_served",
            f"the protected label {protection.label!r} never served version {version}, so this is no way back; move it",
            param="to",
        )


def check_falls_back(protected: Iterable[tuple[Protection, Sequence[Release]]], version: int) -> None:
    """Raises Conflict(`never_served`) for a fallback switch that would put a version before the traffic of protected labels
    (each with its history) that one of them never pointed to: what a rollback refuses, a switch does not do either."""
    for protection, history in protected:
        if all(release.version != version for release in history):
            raise Conflict(
                "never_served",
                f"the protected label {protection.label!r} never served version {version}, and this switch would put it before "
                "that label's calls; name a version it served, narrow the switch to another label, or use mode block",
                param="fallback_version",
            )


class ProtectionDocument(TypedDict):
    """Who may move a label, and what a move needs."""

    agent: AgentName
    label: LabelName
    who_may_move: Mover
    evaluation_required: bool
    approval_required: bool


def protection_document(protection: Protection) -> ProtectionDocument:
    """As the admin API answers it and the audit log keeps it."""
    return {
        "agent": protection.agent,
        "label": protection.label,
        "who_may_move": protection.who_may_move,
        "evaluation_required": protection.evaluation_required,
        "approval_required": protection.approval_required,
    }
