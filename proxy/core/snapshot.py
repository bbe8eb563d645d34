"""What traffic is decided on: one immutable picture of agents, labels, rollouts, switches and caps; and who may change it.

A snapshot is never changed, only replaced whole by one with a higher revision, so a call sees one consistent state and
needs no lock. It holds the versions that labels, rollouts and fallbacks can reach; other pinned versions are loaded
beside it. How rows become a snapshot is the store's matter, when it is swapped is runtime's.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from proxy.core.bucketing import BUCKETS
from proxy.core.shapes import (
    AgentName,
    Count,
    JsonObject,
    LabelName,
    Moment,
    ReleaseNumber,
    Share,
    VersionNumber,
    Who,
    Why,
)
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch
from proxy.core.times import rfc3339
from proxy.core.tokens import Token
from proxy.core.versions.versions import Version

Unapplied = Literal["refuse", "pass"]
RolloutState = Literal["running", "paused", "promoted", "aborted", "rolled_back"]
#: States in which a rollout decides traffic and its label may not be moved otherwise.
ACTIVE_ROLLOUT_STATES: frozenset[RolloutState] = frozenset({"running", "paused"})


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a rollout: its version and its ordered, half-open bucket ranges."""

    name: str
    version: int
    ranges: tuple[tuple[int, int], ...]

    @property
    def share_buckets(self) -> int:
        """How many of the 100,000 buckets this arm holds."""
        return sum(end - start for start, end in self.ranges)

    def holds(self, bucket: int) -> bool:
        for start, end in self.ranges:  # noqa: SIM110 a loop costs half of any() on the path of every call
            if start <= bucket < end:
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The gradual move of a label. Its stable arm is the label's version when it started."""

    id: str
    agent: str
    label: str
    salt: str
    arms: tuple[Arm, ...]
    state: RolloutState
    step: int = 0
    eligible: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Its plan's document, frozen when it started (core/rollouts); None: nothing judges it.
    plan: Mapping[str, Any] | None = None
    created_by: str = ""
    why: str = ""
    created_at_microseconds: int = 0
    ended_at_microseconds: int | None = None

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_ROLLOUT_STATES

    def pinned_arm(self, user: str | None) -> str | None:
        """The arm that its plan gives a user by name; None: their bucket says."""
        pinned: Mapping[str, str] | None = None if self.plan is None else self.plan.get("pinned")
        if not pinned or user is None:
            return None
        return pinned.get(user if user.isascii() else unicodedata.normalize("NFC", user))

    def arm(self, name: str) -> Arm | None:
        """The arm of that name, if there is one."""
        return next((arm for arm in self.arms if arm.name == name), None)


@dataclass(frozen=True, slots=True)
class Label:
    """A named pointer of one agent; `release` is the newest row of the ledger that changed what it serves."""

    name: str
    version: int
    release: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A named user of LLMs; `newest` is its highest version number (0 before the first)."""

    name: str
    description: str = ""
    default_label: str = "prod"
    allow_latest: bool = False
    #: What becomes of a call that its version could have had a say in, but has not.
    unapplied: Unapplied = "refuse"
    archived: bool = False
    newest: int = 0
    created_at_microseconds: int = 0


@dataclass(frozen=True, slots=True)
class AgentState:
    """Everything resolving a call of one agent may need, without waiting."""

    agent: Agent
    labels: Mapping[str, Label] = field(default_factory=dict[str, Label])
    #: The active rollout by label.
    rollouts: Mapping[str, Rollout] = field(default_factory=dict[str, Rollout])
    versions: Mapping[int, Version] = field(default_factory=dict[int, Version])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole picture at one revision."""

    revision: int
    agents: Mapping[str, AgentState] = field(default_factory=dict[str, AgentState])
    switches: tuple[Switch, ...] = ()
    caps: tuple[Cap, ...] = ()
    #: Admin tokens that are not revoked, by the SHA-256 of their text.
    tokens: Mapping[str, Token] = field(default_factory=dict[str, Token])


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotChanges:
    """What is otherwise at `revision` than it was at an earlier one: agents as they are now, archived ones among them, and whole
    lists, None for those that are as they were."""

    revision: int
    agents: Mapping[str, AgentState] = field(default_factory=dict[str, AgentState])
    switches: tuple[Switch, ...] | None = None
    caps: tuple[Cap, ...] | None = None
    tokens: Mapping[str, Token] | None = None


def with_changes(snapshot: Snapshot, changes: SnapshotChanges) -> Snapshot:
    """The picture as the changes left it; archived agents are gone from it."""
    agents = snapshot.agents
    if changes.agents:
        agents = {name: state for name, state in {**agents, **changes.agents}.items() if not state.agent.archived}
    return Snapshot(
        revision=changes.revision,
        agents=agents,
        switches=snapshot.switches if changes.switches is None else changes.switches,
        caps=snapshot.caps if changes.caps is None else changes.caps,
        tokens=snapshot.tokens if changes.tokens is None else changes.tokens,
    )


class AgentDocument(TypedDict):
    """A named user of LLMs whose behaviour is versioned."""

    agent: AgentName
    description: str
    default_label: LabelName
    allow_latest: bool
    unapplied: Unapplied
    archived: bool
    newest_version: VersionNumber | None
    created_at: Moment


class ArmDocument(TypedDict):
    """One side of a rollout. `ranges` are half-open stretches of the 100,000 buckets."""

    name: str
    version: VersionNumber
    percentage: Share
    ranges: list[list[int]]


class RolloutDocument(TypedDict):
    """The gradual move of a label."""

    id: str
    agent: AgentName
    label: LabelName
    state: RolloutState
    step: Count
    arms: list[ArmDocument]
    salt: str
    eligible: dict[str, str]
    #: Null: nothing judges it.
    plan: JsonObject | None
    created_by: Who
    why: Why
    created_at: Moment
    ended_at: Moment | None


class LabelDocument(TypedDict):
    """A named pointer of one agent to a version; `release` is the newest row of the ledger that changed what it serves."""

    label: LabelName
    version: VersionNumber
    release: ReleaseNumber
    rollout: RolloutDocument | None


class AgentStateDocument(AgentDocument):
    """An agent with what its labels serve now."""

    labels: list[LabelDocument]


def agent_document(agent: Agent) -> AgentDocument:
    return {
        "agent": agent.name,
        "description": agent.description,
        "default_label": agent.default_label,
        "allow_latest": agent.allow_latest,
        "unapplied": agent.unapplied,
        "archived": agent.archived,
        "newest_version": agent.newest or None,
        "created_at": rfc3339(agent.created_at_microseconds),
    }


def state_document(state: AgentState) -> AgentStateDocument:
    """An agent with what its labels serve now."""
    return {
        **agent_document(state.agent),
        "labels": [label_document(label, state.rollouts.get(label.name)) for label in state.labels.values()],
    }


def arm_document(arm: Arm) -> ArmDocument:
    return {
        "name": arm.name,
        "version": arm.version,
        "percentage": arm.share_buckets * 100 / BUCKETS,
        "ranges": [list(bounds) for bounds in arm.ranges],
    }


def label_document(label: Label, rollout: Rollout | None = None) -> LabelDocument:
    return {
        "label": label.name,
        "version": label.version,
        "release": label.release,
        "rollout": None if rollout is None else rollout_document(rollout),
    }


def rollout_document(rollout: Rollout) -> RolloutDocument:
    ended = rollout.ended_at_microseconds
    return {
        "id": rollout.id,
        "agent": rollout.agent,
        "label": rollout.label,
        "state": rollout.state,
        "step": rollout.step,
        "arms": [arm_document(arm) for arm in rollout.arms],
        "salt": rollout.salt,
        "eligible": dict(rollout.eligible),
        "plan": None if rollout.plan is None else dict(rollout.plan),
        "created_by": rollout.created_by,
        "why": rollout.why,
        "created_at": rfc3339(rollout.created_at_microseconds),
        "ended_at": None if ended is None else rfc3339(ended),
    }
