"""The release ledger: every change of what traffic gets, and what a rollback would do.

One append-only row per change, numbered per agent. What was served at any past moment follows from these rows alone: each
carries the arms, with versions and bucket ranges, that hold from then on. Writing rows is the store's matter; choosing
them is here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from proxy.core.bucketing import BUCKETS
from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.shapes import AgentName, JsonObject, LabelName, Moment, ReleaseNumber, VersionNumber, Who, Why
from proxy.core.snapshot import AgentState, Arm, ArmDocument, Rollout, arm_document
from proxy.core.times import rfc3339

ReleaseKind = Literal[
    "label_moved", "label_deleted", "rolled_back", "rollout_started", "share_changed", "promoted", "aborted"
]

STABLE = "stable"
CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One row of an agent's ledger: from `created_at` on, the label serves these arms."""

    agent: str
    number: int
    kind: ReleaseKind
    label: str
    #: One arm named `stable` with every bucket where no rollout runs; for `label_deleted` what it served last.
    arms: tuple[Arm, ...]
    salt: str | None
    rollout: str | None
    who: str
    approved_by: str | None
    why: str
    created_at_microseconds: int
    evidence: Sequence[Mapping[str, Any]] = field(default_factory=tuple[Mapping[str, Any], ...])
    undoes: int | None = None

    @property
    def version(self) -> int:
        """The version of the first arm: what the label itself points to from then on."""
        return self.arms[0].version


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """What a rollback does: which release it undoes, which version then serves, and which rollout it ends.

    `undoes` None means that nothing moves, and `reason` says why.
    """

    undoes: int | None
    version: int
    rollout: Rollout | None = None
    reason: str = ""


def whole(version: int) -> tuple[Arm, ...]:
    """The arms of a label without a rollout: everyone gets `version`."""
    return (Arm(STABLE, version, ((0, BUCKETS),)),)


def plan_rollback(
    state: AgentState,
    label: str,
    history: Sequence[Release],
    *,
    undoes: int | None,
    to: int | None,
    is_whole: bool = True,
) -> RollbackPlan:
    """Decide what a rollback of `label` does; `history` is the label's ledger, oldest first.

    With a rollout running it ends it and the stable version serves everyone. Without one the label goes back to the version
    of the newest earlier release that is not itself undone and served another version; what a rollback went back over stays
    undone, so that undoing rollbacks walks further back and never forward again. If the release it names is no longer in
    force nothing moves; every release of the running rollout counts as in force, because a share that grew meanwhile is no
    reason to ignore an emergency. Without `is_whole` an earlier release that `history` lacks is taken for one of the label's,
    and no longer in force. Raises NotFound(`label_not_set`), NotFound(`release_not_found`),
    Conflict(`nothing_to_roll_back`).
    """
    if label not in state.labels or not history:
        raise NotFound(
            "label_not_set", f"the label {label!r} of agent {state.agent.name!r} was never set", param="label"
        )
    current = history[-1]
    now_serving = state.labels[label].version
    rollout = state.rollouts.get(label)
    if undoes is not None and not _is_in_force(history, undoes, rollout, is_whole):
        return RollbackPlan(None, now_serving, reason=f"release {undoes} is no longer in force; nothing was moved")
    if rollout is not None:
        return RollbackPlan(current.number, now_serving if to is None else to, rollout)
    if to is not None:
        if to == now_serving:
            return RollbackPlan(None, now_serving, reason=f"{label} serves version {to} already")
        return RollbackPlan(current.number, to)
    if undoes is None and current.kind in ("rolled_back", "aborted"):
        # Two people (or a person and the controller) who both say "roll back" mean the same bad release.
        reason = f"release {current.number} took it back already; name a release or a version to go further"
        return RollbackPlan(None, now_serving, reason=reason)
    standing = standing_rows(history)
    if len(standing) < 2:
        raise Conflict(
            "nothing_to_roll_back",
            "no earlier version of this label stands that has not been rolled back; name a version with `to`",
        )
    return RollbackPlan(current.number, standing[-2][-1].version)


def _is_in_force(history: Sequence[Release], number: int, rollout: Rollout | None, is_whole: bool) -> bool:
    named = next((release for release in history if release.number == number), None)
    if named is None and not is_whole and 0 < number < history[-1].number and rollout is None:
        return False
    if named is None:
        raise NotFound("release_not_found", f"release {number} is not one of this label", param="undoes")
    return named is history[-1] or (rollout is not None and named.rollout == rollout.id)


def standing_rows(history: Sequence[Release]) -> list[tuple[Release, ...]]:
    """The versions the label went through, oldest first, without those that rollbacks went back over.

    Each is given as the rows it follows from: the one that took its place in the order, then, where there was one, the
    rollback that last put another version there. The version is that of the last of them.
    """
    standing: list[tuple[Release, ...]] = []
    versions: list[int] = []
    for release in history:
        is_rollback = release.kind == "rolled_back" and bool(standing)
        if release.kind == "label_deleted":
            standing, versions = [], []
        elif is_rollback and release.version in versions:
            keep = _last_index(versions, release.version) + 1
            del standing[keep:], versions[keep:]
        elif is_rollback:
            standing[-1], versions[-1] = (standing[-1][0], release), release.version
        elif not standing or versions[-1] != release.version:
            standing.append((release,))
            versions.append(release.version)
    return standing


def _last_index(versions: Sequence[int], version: int) -> int:
    return len(versions) - 1 - list(reversed(versions)).index(version)


def check_versions_exist(agent: str, newest: int, *numbers: int) -> None:
    """Raises NotFound(`version_not_found`) for a number the agent has not reached, BadInput for one below 1."""
    for number in numbers:
        if number < 1:
            raise BadInput("bad_version_number", "version numbers begin at 1", param="version")
        if number > newest:
            raise NotFound(
                "version_not_found",
                f"agent {agent!r} has no version {number}; the newest is {newest}",
                param="version",
            )


class ReleaseDocument(TypedDict):
    """One row of an agent's append-only ledger: from `created_at` on, the label serves these arms."""

    agent: AgentName
    release: ReleaseNumber
    kind: ReleaseKind
    label: LabelName
    version: VersionNumber
    arms: list[ArmDocument]
    salt: str | None
    rollout: str | None
    who: Who
    approved_by: Who | None
    why: Why
    created_at: Moment
    evidence: list[JsonObject]
    undoes: ReleaseNumber | None


def release_document(release: Release) -> ReleaseDocument:
    return {
        "agent": release.agent,
        "release": release.number,
        "kind": release.kind,
        "label": release.label,
        "version": release.version,
        "arms": [arm_document(arm) for arm in release.arms],
        "salt": release.salt,
        "rollout": release.rollout,
        "who": release.who,
        "approved_by": release.approved_by,
        "why": release.why,
        "created_at": rfc3339(release.created_at_microseconds),
        "evidence": [dict(item) for item in release.evidence],
        "undoes": release.undoes,
    }
