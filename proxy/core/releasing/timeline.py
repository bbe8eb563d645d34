"""What a label served at a moment, told from the release ledger alone: versions, percentages, rollout.

Values only; the rows come from the store, oldest first. Counterpart: releases.py, which says what a row means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proxy.core.releasing.releases import Release
from proxy.core.snapshot import Arm, arm_document
from proxy.core.times import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAt:
    """What a label served at a moment. `until_microseconds` is when the next release took over, None if none has yet."""

    at_microseconds: int
    release: Release
    until_microseconds: int | None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Who served: one arm with every bucket where no rollout ran."""
        return self.release.arms

    @property
    def rollout(self) -> str | None:
        """The rollout that split the traffic then; None where every call got one version."""
        return self.release.rollout if self.release.salt is not None else None

    def document(self) -> dict[str, Any]:
        until = self.until_microseconds
        return {
            "agent": self.release.agent,
            "label": self.release.label,
            "time": rfc3339(self.at_microseconds),
            "release": self.release.number,
            "kind": self.release.kind,
            "version": self.release.version,
            "arms": [arm_document(arm) for arm in self.arms],
            "rollout": self.rollout,
            "salt": self.release.salt,
            "who": self.release.who,
            "why": self.release.why,
            "since": rfc3339(self.release.created_at_microseconds),
            "until": None if until is None else rfc3339(until),
        }


def served_at(history: Sequence[Release], at_microseconds: int) -> ServedAt | None:
    """What the label of `history` (its releases, oldest first) served; None before its first release.

    A release is in force from its own microsecond on. The ledger's order decides, not the clock: of two rows with the same
    time, or where a clock was set back, the later row holds.
    """
    in_force = None
    for index, release in enumerate(history):
        if release.created_at_microseconds <= at_microseconds:
            in_force = index
    if in_force is None or history[in_force].kind == "label_deleted":
        return None
    following = history[in_force + 1 :]
    until = min((release.created_at_microseconds for release in following), default=None)
    return ServedAt(at_microseconds=at_microseconds, release=history[in_force], until_microseconds=until)
