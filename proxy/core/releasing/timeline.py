"""What a label served at a moment, told from the release ledger alone: versions, percentages, rollout.

Values only; the rows come from the store, oldest first. Counterpart: releases.py, which says what a row means.

Releases are numbered in the order they were made; their times are of a wall clock, which may have been ahead or set back. Where
times run against the numbers the answer says that it is uncertain.

Decision: the answer is uncertain from the last release before such a stretch until the next one behind it. That is long where nobody
releases again, but which of the times were wrong, and by how much, the ledger cannot tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from proxy.core.releasing.releases import Release, ReleaseKind
from proxy.core.shapes import AgentName, LabelName, Moment, ReleaseNumber, VersionNumber, Who, Why
from proxy.core.snapshot import Arm, ArmDocument, arm_document
from proxy.core.times import rfc3339


class ServedAtDocument(TypedDict):
    """What a label served at a moment, and how certain that is."""

    agent: AgentName
    label: LabelName
    time: Moment
    release: ReleaseNumber
    kind: ReleaseKind
    version: VersionNumber
    arms: list[ArmDocument]
    rollout: str | None
    salt: str | None
    who: Who
    why: Why
    since: Moment
    until: Moment | None
    uncertain: bool
    uncertain_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAt:
    """What a label served at a moment. `until_microseconds` is when the next release took over, None if none has yet."""

    at_microseconds: int
    release: Release
    until_microseconds: int | None
    #: Why another release may have been in force in truth; None where that is certain.
    doubt: str | None = None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Who served: one arm with every bucket where no rollout ran."""
        return self.release.arms

    @property
    def rollout(self) -> str | None:
        """The rollout that split the traffic then; None where every call got one version."""
        return self.release.rollout if self.release.salt is not None else None

    def document(self) -> ServedAtDocument:
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
            "uncertain": self.doubt is not None,
            "uncertain_reason": self.doubt,
        }


def served_at(history: Sequence[Release], at_microseconds: int, now_microseconds: int) -> ServedAt | None:
    """What the label of `history` (its releases, oldest first) served; None where nothing. `at` is not after `now`.

    A release is in force from its own microsecond on. The ledger's order decides, not the clock: of two rows with the same
    time, or where a clock was set back, the later row holds, and now the newest one does, whatever time it bears.
    """
    in_force = None
    for index, release in enumerate(history):
        if release.created_at_microseconds <= at_microseconds or at_microseconds >= now_microseconds:
            in_force = index
    if in_force is None or history[in_force].kind == "label_deleted":
        return None
    following = history[in_force + 1 :]
    return ServedAt(
        at_microseconds=at_microseconds,
        release=history[in_force],
        until_microseconds=min((release.created_at_microseconds for release in following), default=None),
        doubt=doubt_at(history, at_microseconds, now_microseconds),
    )


def doubt_at(history: Sequence[Release], at_microseconds: int, now_microseconds: int) -> str | None:
    """Why it is not certain which release was in force, None where it is: around that moment times do not run with the numbers."""
    if at_microseconds >= now_microseconds:
        return None
    doubtful = _doubtful(history, now_microseconds)
    first = 0
    while first < len(history):
        last = first
        while last + 1 < len(history) and doubtful[last] and doubtful[last + 1]:
            last += 1
        if doubtful[first] and _is_within(history, first, last, at_microseconds):
            numbers = " and ".join(str(history[index].number) for index in sorted({first, last}))
            return (
                f"the clock was set while releases {numbers} (and what lies between them) were made: their times do not follow "
                "their numbers, so that another of them, or the one before, may have been in force"
            )
        first = last + 1
    return None


def _doubtful(history: Sequence[Release], now_microseconds: int) -> list[bool]:
    """Which releases bear a time that may not be theirs: one that has not come yet, or one out of order with another that has."""
    times = [release.created_at_microseconds for release in history]
    doubtful = [time > now_microseconds for time in times]
    latest = 0
    for index, time in enumerate(times):
        if time <= now_microseconds:
            doubtful[index] = latest > time
            latest = max(latest, time)
    earliest = now_microseconds
    for index in reversed(range(len(times))):
        if times[index] <= now_microseconds:
            doubtful[index] = doubtful[index] or earliest < times[index]
            earliest = min(earliest, times[index])
    return doubtful


def _is_within(history: Sequence[Release], first: int, last: int, at_microseconds: int) -> bool:
    """Whether a doubtful release from `first` to `last` may have begun before that moment, or may not have yet."""
    begins = first == 0 or history[first - 1].created_at_microseconds <= at_microseconds
    return begins and (last + 1 == len(history) or at_microseconds < history[last + 1].created_at_microseconds)
