"""A change over the live snapshot alone: what emergency commands read and write while the store is away.

It is an EmergencyChange as the store's Change is, so that the same commands decide by the same rules. It knows what the snapshot and
the short histories beside it know; what cannot be known for certain is refused, not guessed.
Nothing is written here: changes.py swaps the snapshot and hands the action to the journal.
"""

from collections.abc import Mapping

from proxy.core.errors import Refusal, Unavailable
from proxy.core.proof.audit import AuditDraft
from proxy.core.proof.emergency import EmergencyOrder, RollbackOrder
from proxy.core.proof.known_good import AgentPast, state_after_release
from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.releases import Release, whole
from proxy.core.snapshot import Agent, AgentState, Rollout, Snapshot, SnapshotChanges
from proxy.core.switches import Switch
from proxy.core.versions.versions import Version

_STORE_UNAVAILABLE = "store_unavailable"


class MemoryChange:
    """The EmergencyChange over values."""

    def __init__(self, snapshot: Snapshot, pasts: Mapping[str, AgentPast]) -> None:
        self._snapshot = snapshot
        self._pasts = pasts
        self._changed: dict[str, AgentState] = {}
        self._switches = snapshot.switches

    async def agent(self, name: str) -> Agent | None:
        state = self._state(name)
        return None if state is None else state.agent

    async def agent_state(self, name: str) -> AgentState | None:
        return self._state(name)

    async def label_history(self, agent: str, label: str) -> list[Release]:
        """The short history; where it is not at hand, the label's present release alone."""
        state = self._state(agent)
        if state is None or label not in state.labels:
            return []
        return list(self._past(agent).history(state, label)) or [_present_release(state, label)]

    async def next_release_number(self, agent: str) -> int:
        """Good until the store is back and gives the number that stays."""
        state = self._state(agent)
        return 1 + max((label.release for label in state.labels.values()), default=0) if state else 1

    async def append_release(self, release: Release) -> None:
        """Put a row that ends what ran on its label in force. Raises Unavailable where its version is not in memory, or never
        served the label: whether the label may be moved there is for the store to say."""
        state = self._state(release.agent)
        assert state is not None
        version = self._version(state, release.version)
        possible = await self.ways_back(release.agent, release.label)
        if version is None or release.version not in possible:
            raise _not_in_memory(f"version {release.version} is not one {release.label!r} can go back to now", possible)
        self._changed[release.agent] = state_after_release(state, release, version)

    async def ways_back(self, agent: str, label: str) -> list[int]:
        """The versions in memory that a label served, in order, the present one among them."""
        state = self._state(agent)
        if state is None or label not in state.labels:
            return []
        served = {state.labels[label].version, *self._past(agent).served.get(label, ())}
        served.update(row.version for row in await self.label_history(agent, label))
        return sorted(number for number in served if self._version(state, number) is not None)

    async def rollout(self, agent: str, rollout_id: str) -> Rollout | None:
        """Raises Unavailable for one that is not running: whether it ever was cannot be looked up."""
        state = self._state(agent)
        running = () if state is None else state.rollouts.values()
        found = next((rollout for rollout in running if rollout.id == rollout_id), None)
        if found is None:
            raise Unavailable(
                _STORE_UNAVAILABLE,
                f"the store is away; rollout {rollout_id!r} is not running, so nothing of it is known",
            )
        return found

    async def update_rollout(self, rollout: Rollout) -> None:
        """An ended rollout leaves the state with the release that follows."""

    async def insert_switch(self, switch: Switch) -> None:
        """Raises Unavailable where the version it falls back to is not in memory."""
        self._switches = (*self._switches, switch)
        state = None if switch.scope.agent is None else self._state(switch.scope.agent)
        if state is None or switch.fallback_version is None:
            return
        version = self._version(state, switch.fallback_version)
        labels = state.labels if switch.scope.label is None else [switch.scope.label]
        for label in labels:
            # Whether the label is protected is for the store to say; what it served already needs nobody's consent.
            possible = await self.ways_back(state.agent.name, label)
            if switch.fallback_version not in possible:
                raise _not_in_memory(
                    f"version {switch.fallback_version} is not one {label!r} is known to have served", possible
                )
        if version is None:
            possible = sorted({*state.versions, *self._past(state.agent.name).versions})
            raise _not_in_memory(f"version {switch.fallback_version} is not in memory", possible)
        versions = {**state.versions, version.number: version}
        self._changed[state.agent.name] = AgentState(state.agent, state.labels, state.rollouts, versions)

    async def protection(self, agent: str, label: str) -> None:
        """Rollbacks need no protection looked up: `append_release` lets a label only go back."""

    async def waiting_proposals(self, agent: str, label: str) -> list[Proposal]:
        """They become stale when the store is back."""
        return []

    async def decide_proposal(self, proposal: Proposal) -> None:
        """None waits here."""

    async def append_audit(self, draft: AuditDraft) -> None:
        """The entry is appended when the store is back."""

    async def changes_since(self, revision: int) -> SnapshotChanges:
        """What was changed here; `revision` is that of the snapshot it began with."""
        return SnapshotChanges(revision=self._snapshot.revision + 1, agents=self._changed, switches=self._switches)

    def _state(self, name: str) -> AgentState | None:
        return self._changed.get(name) or self._snapshot.agents.get(name)

    def _past(self, agent: str) -> AgentPast:
        return self._pasts.get(agent) or AgentPast()

    def _version(self, state: AgentState, number: int) -> Version | None:
        return state.versions.get(number) or self._past(state.agent.name).versions.get(number)


def _present_release(state: AgentState, name: str) -> Release:
    label, rollout = state.labels[name], state.rollouts.get(name)
    return Release(
        agent=state.agent.name,
        number=label.release,
        kind="label_moved" if rollout is None else "rollout_started",
        label=name,
        arms=whole(label.version) if rollout is None else rollout.arms,
        salt=None if rollout is None else rollout.salt,
        rollout=None if rollout is None else rollout.id,
        who="",
        approved_by=None,
        why="",
        created_at_microseconds=0,
    )


def _not_in_memory(problem: str, possible: list[int]) -> Unavailable:
    there_is = f"possible are {', '.join(map(str, possible))}" if possible else "no other version is at hand"
    return Unavailable(_STORE_UNAVAILABLE, f"the store is away and {problem}; {there_is}", param="to")


async def beyond_memory(refusal: Refusal, order: EmergencyOrder, memory: MemoryChange) -> Refusal:
    """A short history that leads no further says nothing about the ledger itself: what to name instead."""
    state = await memory.agent_state(order.agent) if isinstance(order, RollbackOrder) else None
    if not isinstance(order, RollbackOrder) or state is None:
        return refusal
    name = order.label or state.agent.default_label
    if refusal.code == "release_not_found":
        problem = (
            f"{name!r} is at release {state.labels[name].release}, and of release {order.undoes} nothing is in memory"
        )
        return Unavailable(
            _STORE_UNAVAILABLE, f"the store is away and {problem}; name the first in `undoes`, or none", param="undoes"
        )
    if refusal.code != "nothing_to_roll_back":
        return refusal
    serving = state.labels[name].version
    possible = [str(number) for number in await memory.ways_back(order.agent, name) if number != serving]
    problem = f"the store is away, and which version {name!r} served before {serving} is not in memory"
    if not possible:
        return Unavailable(
            _STORE_UNAVAILABLE, f"{problem}, nor is another; put the store back, or stop its calls by a switch"
        )
    return Unavailable(
        _STORE_UNAVAILABLE, f"{problem}; name one in `to`; possible are {', '.join(possible)}", param="to"
    )
