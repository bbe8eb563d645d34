"""The arms of a rollout: which versions a label's users are shared among, and by which buckets.

A rollout has one `candidate`, whose share its plan lets grow, or arms with names and fixed shares of their own; `stable`, the label's
version when it starts, has what is left of the buckets.

Decision: only stable gives and takes buckets, so that another share of one arm moves no user between two others. An arm grows
upwards from its last bucket, then into what stable has below it, and shrinks from the top: it grows back into what it had, and
not into what another one gave up. With one candidate that is the prefix rule. Not taken: a place of fixed width for each arm, which
would have to be known at the start and bounds how far it grows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxy.core.bucketing import BUCKETS, buckets_for
from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.releasing.proposals import ProposedArm
from proxy.core.releasing.releases import CANDIDATE, STABLE
from proxy.core.snapshot import Arm, Rollout

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
#: Names that mean something else: of the arms of every rollout, of copies, and of the times a label is watched at.
RESERVED: Final = (STABLE, CANDIDATE, "shadow", "before", "after")
MOST_ARMS: Final = 10
_Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class WantedArm:
    """An arm beside stable that somebody wants, and its share of the traffic in per cent."""

    name: str
    version: int
    percentage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDraft:
    """A rollout an operator wants; the shares are those it begins with."""

    label: str
    arms: tuple[WantedArm, ...]
    eligible: Mapping[str, str] = field(default_factory=dict[str, str])
    #: The document of the plan it follows.
    plan: Mapping[str, Any] | None = None


def candidate_arm(version: int, percentage: float) -> tuple[WantedArm, ...]:
    """The one arm of a rollout that ramps."""
    return (WantedArm(CANDIDATE, version, percentage),)


def order_of(draft: RolloutDraft) -> dict[str, Any]:
    """What a proposal keeps of a draft beside the label and the version of its first arm."""
    if draft.arms[0].name == CANDIDATE:
        shares: dict[str, Any] = {"percentage": draft.arms[0].percentage}
    else:
        arms: list[ProposedArm] = [
            {"name": arm.name, "version": arm.version, "percentage": arm.percentage} for arm in draft.arms
        ]
        shares = {"arms": arms}
    return {**shares, "eligible": dict(draft.eligible), "plan": draft.plan}


def ordered_draft(label: str, version: int, order: Mapping[str, Any]) -> RolloutDraft:
    """The draft a proposal was made of; counterpart of `order_of`."""
    if "arms" in order:
        arms = tuple(WantedArm(**arm) for arm in order["arms"])
    else:
        arms = candidate_arm(version, order["percentage"])
    return RolloutDraft(label=label, arms=arms, eligible=order["eligible"], plan=order["plan"])


def is_arm_name(name: str) -> bool:
    """Whether an operator may name an arm so."""
    return _NAME.match(name) is not None and name not in RESERVED


def check_arm_name(name: str, at: str) -> str:
    """`name` if an arm may have it. Raises BadInput(`bad_arm`)."""
    if not is_arm_name(name):
        raise BadInput(
            "bad_arm",
            "an arm is named with a-z, 0-9, '_' and '-', at most 32 characters, beginning with a letter; "
            f"{', '.join(RESERVED)} are reserved, and stable has what the others leave",
            param=at,
        )
    return name


def check_arms(arms: Sequence[WantedArm], stable_version: int, label: str) -> None:
    """Raises BadInput: `bad_arm`, `bad_percentage`, and `same_version` where two of them, or one and stable, are the same version."""
    total = sum(buckets_for(arm.percentage) for arm in arms)
    is_ramp = [arm.name for arm in arms] == [CANDIDATE]
    if not is_ramp:
        check_arm_names([arm.name for arm in arms])
        check_stable_keeps(BUCKETS - total)
    serving = {stable_version: f"{label} serves"}
    for arm in arms:
        if arm.version in serving:
            raise BadInput(
                "same_version",
                f"{serving[arm.version]} version {arm.version} already",
                param="candidate" if is_ramp else "arms",
            )
        serving[arm.version] = f"the arm {arm.name} has"


def check_arm_names(names: Sequence[str]) -> None:
    """Raises BadInput(`bad_arm`)."""
    if not 0 < len(names) <= MOST_ARMS:
        raise BadInput("bad_arm", f"a rollout has 1 to {MOST_ARMS} arms beside stable", param="arms")
    for name in names:
        check_arm_name(name, "arms")
        if names.count(name) > 1:
            raise BadInput("bad_arm", f"two arms are named {name}", param="arms")


def check_stable_keeps(buckets: int) -> None:
    """Raises BadInput(`bad_percentage`) where arms of fixed shares leave stable nobody."""
    if buckets <= 0:
        raise BadInput(
            "bad_percentage",
            f"the arms would have {100 - buckets * 100 / BUCKETS:g} % together; leave some to stable, which each is held against",
            param="percentage",
        )


def is_ramp(rollout: Rollout) -> bool:
    """Whether it has one candidate, and no arms of fixed shares."""
    return rollout.arm(CANDIDATE) is not None


def tried_arms(rollout: Rollout) -> tuple[Arm, ...]:
    """All arms but stable."""
    return tuple(arm for arm in rollout.arms if arm.name != STABLE)


def meant_arm(rollout: Rollout, name: str | None) -> Arm:
    """The arm that is named; None: the only one beside stable. Raises BadInput(`arm_required`), NotFound(`arm_not_found`),
    Conflict(`no_arms`)."""
    arms = tried_arms(rollout)
    told = ", ".join(f"{arm.name} (version {arm.version})" for arm in arms)
    if not arms:
        raise Conflict("no_arms", f"rollout {rollout.id} has no arm beside stable; abort it")
    if name is None and len(arms) > 1:
        raise BadInput("arm_required", f"rollout {rollout.id} has several arms; say which: {told}", param="arm")
    found = next((arm for arm in arms if name in (None, arm.name)), None)
    if found is None:
        raise NotFound(
            "arm_not_found", f"rollout {rollout.id} has no arm {name!r} to choose; there is {told}", param="arm"
        )
    return found


def divided(stable_version: int, arms: Iterable[WantedArm]) -> tuple[Arm, ...]:
    """The arms of a rollout that begins: stable first, the others from the first bucket on, one behind the other."""
    shared: tuple[Arm, ...] = (Arm(STABLE, stable_version, ((0, BUCKETS),)),)
    for arm in arms:
        shared = reshared((*shared, Arm(arm.name, arm.version, ())), arm.name, buckets_for(arm.percentage))
    return shared


def reshared(arms: Sequence[Arm], name: str, share_buckets: int) -> tuple[Arm, ...]:
    """The same arms, one of them with another share, which stable gives or takes. Raises BadInput(`bad_percentage`) for more than
    stable has to give."""
    by_name = {arm.name: arm for arm in arms}
    arm, stable = by_name[name], by_name[STABLE]
    missing = share_buckets - arm.share_buckets
    if missing > stable.share_buckets:
        most = (arm.share_buckets + stable.share_buckets) * 100 / BUCKETS
        raise BadInput(
            "bad_percentage", f"{name} can have {most:g} % at most; the rest is other arms'", param="percentage"
        )
    if missing >= 0:
        top = arm.ranges[-1][1] if arm.ranges else 0
        above, below = _cut(stable.ranges, top)
        taken, above = _lowest(above, missing)
        more, below = _lowest(below, missing - _size(taken))
        by_name[name] = replace(arm, ranges=_merged((*arm.ranges, *taken, *more)))
        by_name[STABLE] = replace(stable, ranges=_merged((*below, *above)))
    else:
        kept, given = _lowest(arm.ranges, share_buckets)
        by_name[name] = replace(arm, ranges=kept)
        by_name[STABLE] = replace(stable, ranges=_merged((*stable.ranges, *given)))
    return tuple(by_name[other.name] for other in arms)


def without(arms: Sequence[Arm], name: str) -> tuple[Arm, ...]:
    """The arms without one, whose users stable gets."""
    return tuple(arm for arm in reshared(arms, name, 0) if arm.name != name)


def _size(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in ranges)


def _lowest(ranges: _Ranges, count: int) -> tuple[_Ranges, _Ranges]:
    """The first `count` buckets of ordered ranges, and the rest."""
    first: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(ranges):
        if count < end - start:
            if count > 0:
                first.append((start, start + count))
            return tuple(first), ((start + max(count, 0), end), *ranges[index + 1 :])
        first.append((start, end))
        count -= end - start
    return tuple(first), ()


def _cut(ranges: _Ranges, at: int) -> tuple[_Ranges, _Ranges]:
    """What lies above a bucket, and what below; no range lies across."""
    return tuple(r for r in ranges if r[0] >= at), tuple(r for r in ranges if r[0] < at)


def _merged(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    """In order, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
