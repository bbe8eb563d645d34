"""The last known good state: a snapshot with what emergency decisions need beside it, enough to serve and to take back.

Kept so that traffic goes on, also after a restart, while the store is away. Pure values and how one follows from another; the
file is store/files/snapshot_file.py's, when it is written is runtime's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxy.core.proof.emergency import JournalEntry, RollbackOrder, SwitchOrder
from proxy.core.releasing.releases import Release, standing_rows
from proxy.core.releasing.short_history import followed_by
from proxy.core.snapshot import AgentState, Label, Snapshot
from proxy.core.versions.versions import Version

#: For each label so many versions that stood before the present one are kept whole.
_KEPT_VERSIONS = 3

History = tuple[Release, ...]


@dataclass(frozen=True, slots=True)
class AgentPast:
    """What a rollback of an agent's labels needs beside its state: short histories, and the versions they lead back to."""

    histories: Mapping[str, History] = field(default_factory=dict[str, History])
    versions: Mapping[int, Version] = field(default_factory=dict[int, Version])
    #: Versions that labels served before rollbacks without the store cut their histories short.
    served: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])

    def history(self, state: AgentState, label: str) -> History:
        """The label's short history if it is up to date, else empty."""
        rows = self.histories.get(label, ())
        known = state.labels.get(label)
        return rows if rows and known is not None and rows[-1].number == known.release else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownGood:
    """A whole state. `installation` is the id of the store it came from."""

    installation: str
    snapshot: Snapshot
    pasts: Mapping[str, AgentPast] = field(default_factory=dict[str, AgentPast])


def wanted_versions(state: AgentState, past: AgentPast) -> set[int]:
    """The numbers of versions that rollbacks of the agent's labels would go to first."""
    wanted: set[int] = set()
    for label in state.labels:
        standing = standing_rows(past.history(state, label))
        wanted.update(rows[-1].version for rows in standing[-_KEPT_VERSIONS - 1 : -1])
    return wanted


def past_after(
    past: AgentPast, before: AgentState | None, after: AgentState, rows: Sequence[Release], *, is_away: bool = False
) -> AgentPast:
    """An agent's past once a change appended `rows` to its ledger and left it in the state `after`.

    With the store away nothing is let go of that the next emergency may ask for: it could not be read again.
    """
    labels_before: Mapping[str, Label] = {} if before is None else before.labels
    histories = {label: past.history(before, label) for label in labels_before} if before is not None else {}
    served = dict(past.served) if is_away else {}
    for row in rows:
        known = histories.get(row.label, ())
        if is_away:
            served[row.label] = served.get(row.label, frozenset()).union(one.version for one in known)
        # Behind a history that is not at hand a row says too little; the whole is read again from the store.
        if known or row.label not in labels_before:
            histories[row.label] = followed_by(known, row)
    histories = {label: rows for label, rows in histories.items() if rows and label in after.labels}
    changed = AgentPast(histories, past.versions, served)
    at_hand = {**past.versions, **({} if before is None else before.versions), **after.versions}
    wanted = set(at_hand) if is_away else wanted_versions(after, changed)
    return replace(changed, versions={number: at_hand[number] for number in sorted(wanted) if number in at_hand})


def state_after_release(state: AgentState, row: Release, version: Version) -> AgentState:
    """The agent once `row`, which ends what ran on its label, is in force; `version` is the one it serves."""
    return replace(
        state,
        labels={**state.labels, row.label: Label(row.label, row.version, row.number)},
        rollouts={label: rollout for label, rollout in state.rollouts.items() if label != row.label},
        versions={**state.versions, version.number: version},
    )


def snapshot_with(known: KnownGood, entry: JournalEntry) -> KnownGood:
    """The state once a journalled action is in force again, as after a restart. What it needs and is not there (a version
    that is in neither snapshot nor past) leaves the state as it is."""
    snapshot = replace(known.snapshot, revision=known.snapshot.revision + 1)
    if isinstance(entry.order, SwitchOrder):
        switch = entry.order.switch
        if all(other.id != switch.id for other in snapshot.switches):
            snapshot = replace(snapshot, switches=(*snapshot.switches, switch))
        return _with_version(replace(known, snapshot=snapshot), switch.scope.agent, switch.fallback_version)
    row = entry.release
    state = None if row is None else snapshot.agents.get(row.agent)
    if row is None or state is None:
        return known
    past = known.pasts.get(row.agent, AgentPast())
    version = state.versions.get(row.version) or past.versions.get(row.version)
    if version is None:
        return known
    after = state_after_release(state, row, version)
    agents = {**snapshot.agents, row.agent: after}
    pasts = {**known.pasts, row.agent: past_after(past, state, after, [row], is_away=True)}
    return replace(known, snapshot=replace(snapshot, agents=agents), pasts=pasts)


def snapshot_with_all(known: KnownGood, entries: Sequence[JournalEntry]) -> tuple[KnownGood, tuple[JournalEntry, ...]]:
    """The state with all of these in force over it, and the entries as they read over that state: one that takes a label back
    undoes what the label serves in `known`, whatever that was when it was ordered.

    So an action ordered while another change was being committed, which nobody had been told of, holds over that change.
    """
    restated: list[JournalEntry] = []
    for entry in entries:
        entry = _over(known.snapshot, entry)
        restated.append(entry)
        known = snapshot_with(known, entry)
    return known, tuple(restated)


def _over(snapshot: Snapshot, entry: JournalEntry) -> JournalEntry:
    row, order = entry.release, entry.order
    state = None if row is None else snapshot.agents.get(row.agent)
    if row is None or state is None or row.label not in state.labels or not isinstance(order, RollbackOrder):
        return entry
    undoes = state.labels[row.label].release
    number = 1 + max(label.release for label in state.labels.values())
    if (order.undoes, row.number) == (undoes, number):
        return entry
    order = replace(order, undoes=undoes, to=row.version)
    return replace(entry, order=order, release=replace(row, number=number, undoes=undoes))


def _with_version(known: KnownGood, agent: str | None, number: int | None) -> KnownGood:
    """Have the agent's state carry a version that a fallback needs, if it is at hand."""
    state = None if agent is None else known.snapshot.agents.get(agent)
    if agent is None or number is None or state is None or number in state.versions:
        return known
    version = known.pasts.get(agent, AgentPast()).versions.get(number)
    if version is None:
        return known
    state = replace(state, versions={**state.versions, number: version})
    return replace(known, snapshot=replace(known.snapshot, agents={**known.snapshot.agents, agent: state}))
