"""The version that a chain of responses began on, and when it is held to that.

A provider that keeps conversations names each by an id of its own: of the response before (`previous_response_id`), or of the
conversation. Whoever goes on with one gets the version that it began on, also when the label has moved on since.

Decision: a version that was taken back holds nobody. What tells is that the label serves one with a lower number, as it does after a
rollback, or that the chain began on an arm beside stable whose rollout is over, and the label does not serve it: its promotion or its end
decides at once for everybody. Not taken: to hold chains to a version whatever became of it, which would leave users with what an operator has
just taken away from them.
"""

from dataclasses import dataclass

from proxy.core.releasing.releases import STABLE
from proxy.core.snapshot import Label, Rollout


@dataclass(frozen=True, slots=True)
class ChainBeginning:
    """Where a chain of an agent began: which version a label gave it, and of which rollout's arm."""

    agent: str
    label: str
    version: int
    rollout: str | None = None
    arm: str | None = None


def held_version(began: ChainBeginning, label: Label, rollout: Rollout | None) -> int | None:
    """The version that a chain has beside what its label serves now; None: the label decides, or its rollout's arms. `rollout`: the
    label's active one."""
    if rollout is not None and rollout.id == began.rollout:
        return None  # It stays on the arm.
    if began.version == label.version:
        return None if rollout is None else began.version
    is_settled = began.arm is None or began.arm == STABLE
    return began.version if is_settled and began.version < label.version else None
