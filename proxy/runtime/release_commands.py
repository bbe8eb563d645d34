"""Conductor of the control path, the half an operator orders: create version -> label -> roll out -> promote or roll back.

Each command is one atomic change: read, decide by core's rules, write rows and the audit entry, swap the live snapshot,
then answer. Commands run one after the other, so that the snapshot follows the order of the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from proxy.core.bucketing import buckets_for
from proxy.core.components import parse_bundle
from proxy.core.documents import agent_document, label_document, release_document, rollout_document, version_summary
from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.names import check_agent_name, check_label_name
from proxy.core.releases import (
    CANDIDATE,
    STABLE,
    Release,
    ReleaseKind,
    check_versions_exist,
    plan_rollback,
    split,
    whole,
)
from proxy.core.snapshot import Agent, Arm, Rollout, RolloutState
from proxy.core.versions import Version
from proxy.runtime.changes import Changes, Work
from proxy.runtime.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDraft:
    """What an author wants a new version to be."""

    components: Mapping[str, Any]
    parent: int | None
    message: str
    tested_against: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDraft:
    """A fixed-share rollout an operator wants."""

    label: str
    candidate: int
    percentage: float
    eligible: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Moved:
    """The result of a command that may find nothing to do. `release` is the newest of the label either way."""

    changed: bool
    label: str
    version: int
    release: int
    reason: str = ""
    row: Release | None = None


class ReleaseCommands:
    """Agents, versions, labels, rollouts."""

    def __init__(self, changes: Changes, metrics: Metrics) -> None:
        self._changes = changes
        self._metrics = metrics

    # Agents

    async def create_agent(self, who: str, agent: Agent, why: str) -> Agent:
        """A new agent. Raises BadInput(`bad_name`), Conflict(`agent_exists`)."""
        check_agent_name(agent.name)
        check_label_name(agent.default_label)
        async with self._changes.begin(agent.name) as work:
            if await work.change.agent(agent.name) is not None:
                raise Conflict("agent_exists", f"there is an agent {agent.name!r} already", param="agent")
            agent = replace(agent, created_at_microseconds=work.now)
            await work.change.insert_agent(agent)
            await work.audit(who, "agent.created", f"agents/{agent.name}", why, after=agent_document(agent))
        return agent

    async def update_agent(self, who: str, name: str, changed: Mapping[str, Any], why: str) -> Agent:
        """Change description, default_label, allow_latest. Raises NotFound(`agent_not_found`)."""
        if "default_label" in changed:
            check_label_name(changed["default_label"])
        async with self._changes.begin(name) as work:
            before = await work.agent(name)
            after = replace(before, **changed)
            if after == before:
                work.nothing_changed()
                return before
            await work.change.update_agent(after)
            documents = agent_document(before), agent_document(after)
            await work.audit(who, "agent.updated", f"agents/{name}", why, *documents)
        return after

    async def archive_agent(self, who: str, name: str, why: str) -> Agent:
        """Take an agent out of service. Raises NotFound, Conflict(`rollout_running`)."""
        async with self._changes.begin(name) as work:
            state = await work.state(name)
            if state.rollouts:
                raise _rollout_running(next(iter(state.rollouts.values())))
            after = replace(state.agent, archived=True)
            await work.change.update_agent(after)
            await work.audit(who, "agent.archived", f"agents/{name}", why, after=agent_document(after))
        return after

    # Versions

    async def create_version(self, who: str, agent: str, draft: VersionDraft, why: str = "") -> tuple[Version, bool]:
        """The new version and True, or the newest one and False where it is identical already. `why` defaults to the
        draft's message.

        Raises BadInput(`bad_version`), NotFound(`agent_not_found`), Conflict(`stale_parent`).
        """
        bundle = parse_bundle(draft.components)
        async with self._changes.begin(agent) as work:
            found = await work.agent(agent)
            newest = await work.change.version(agent, found.newest) if found.newest else None
            if newest is not None and newest.bundle.bundle_hash == bundle.bundle_hash:
                work.nothing_changed()
                return newest, False
            if draft.parent != (found.newest or None):
                raise _stale_parent(draft.parent, newest)
            version = Version(
                agent=agent,
                number=found.newest + 1,
                bundle=bundle,
                parent=draft.parent,
                author=who,
                message=draft.message,
                created_at_microseconds=work.now,
                tested_against=draft.tested_against,
                source=draft.source,
            )
            await work.change.insert_version(version)
            subject = f"agents/{agent}/versions/{version.number}"
            await work.audit(who, "version.created", subject, why or draft.message, after=version_summary(version))
        return version, True

    # Labels

    async def move_label(
        self,
        who: str,
        agent: str,
        label: str,
        version: int,
        why: str,
        *,
        if_release: int | None = None,
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> Moved:
        """Point a label at a version.

        Raises NotFound (`agent_not_found`, `version_not_found`), Conflict (`label_moved`, `rollout_running`).
        """
        check_label_name(label)
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            check_versions_exist(agent, state.agent.newest, version)
            current = state.labels.get(label)
            if if_release is not None and if_release != (0 if current is None else current.release):
                raise _label_moved(label, current.release if current else 0, await self._last(work, agent, label))
            if label in state.rollouts:
                raise _rollout_running(state.rollouts[label])
            if current is not None and current.version == version:
                work.nothing_changed()
                return Moved(False, label, version, current.release, f"{label} serves version {version} already")
            before = None if current is None else label_document(current)
            row = await self._release(work, "label_moved", who, agent, label, whole(version), why, evidence=evidence)
            await work.audit(
                who, "label.moved", f"agents/{agent}/labels/{label}", why, before, release_document(row), evidence
            )
        return Moved(True, label, version, row.number, row=row)

    async def delete_label(self, who: str, agent: str, label: str, why: str) -> None:
        """Remove a label. Raises NotFound(`label_not_set`), Conflict (`rollout_running`, `default_label`)."""
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            if label not in state.labels:
                raise NotFound("label_not_set", f"agent {agent!r} has no label {label!r}", param="label")
            if label in state.rollouts:
                raise _rollout_running(state.rollouts[label])
            if label == state.agent.default_label:
                raise Conflict("default_label", f"{label!r} is the agent's default label; name another default first")
            serves = state.labels[label].version
            await self._release(work, "label_deleted", who, agent, label, whole(serves), why)
            await work.change.delete_label(agent, label)
            before = label_document(state.labels[label])
            await work.audit(who, "label.deleted", f"agents/{agent}/labels/{label}", why, before)

    async def rollback(
        self,
        who: str,
        agent: str,
        label: str | None,
        why: str,
        *,
        undoes: int | None = None,
        to: int | None = None,
        cause: str = "operator",
    ) -> Moved:
        """The one control point: end the rollout of a label, else take the label back. See core.releases.plan_rollback."""
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            label = label or state.agent.default_label
            if to is not None:
                check_versions_exist(agent, state.agent.newest, to)
            history = await work.change.label_history(agent, label)
            plan = plan_rollback(state, label, history, undoes=undoes, to=to)
            if plan.undoes is None:
                work.nothing_changed()
                return Moved(False, label, plan.version, state.labels[label].release, plan.reason)
            if plan.rollout is not None:
                await self._end(work, plan.rollout, "rolled_back")
            rollout = None if plan.rollout is None else plan.rollout.id
            row = await self._release(
                work, "rolled_back", who, agent, label, whole(plan.version), why, undoes=plan.undoes, rollout=rollout
            )
            before = label_document(state.labels[label], plan.rollout)
            await work.audit(
                who, "label.rolled_back", f"agents/{agent}/labels/{label}", why, before, release_document(row)
            )
        self._metrics.rollbacks.labels(agent, cause).inc()
        return Moved(True, label, plan.version, row.number, row=row)

    # Rollouts

    async def start_rollout(self, who: str, agent: str, draft: RolloutDraft, why: str) -> Rollout:
        """Give a share of a label's traffic to a candidate.

        The salt is that of the last rollout of the same candidate, so that a retry meets the same users. Raises NotFound
        (`label_not_set`, `version_not_found`), Conflict(`rollout_running`), BadInput(`bad_percentage`, `same_version`).
        """
        share = buckets_for(draft.percentage)
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            check_versions_exist(agent, state.agent.newest, draft.candidate)
            current = state.labels.get(draft.label)
            if current is None:
                raise NotFound("label_not_set", f"set the label {draft.label!r} before rolling it out", param="label")
            if draft.label in state.rollouts:
                raise _rollout_running(state.rollouts[draft.label])
            if current.version == draft.candidate:
                raise BadInput(
                    "same_version", f"{draft.label} serves version {draft.candidate} already", param="candidate"
                )
            tried = await work.change.last_rollout_of(agent, draft.label, draft.candidate)
            rollout_id = await work.change.next_rollout_id(agent)
            rollout = Rollout(
                id=rollout_id,
                agent=agent,
                label=draft.label,
                salt=f"{agent}/{rollout_id}" if tried is None else tried.salt,
                arms=split(current.version, draft.candidate, share),
                state="running",
                eligible=draft.eligible,
                created_by=who,
                why=why,
                created_at_microseconds=work.now,
            )
            await work.change.insert_rollout(rollout)
            await self._release(work, "rollout_started", who, agent, draft.label, rollout.arms, why, of=rollout)
            after = rollout_document(rollout)
            await work.audit(who, "rollout.started", f"agents/{agent}/rollouts/{rollout_id}", why, after=after)
        return rollout

    async def set_percentage(self, who: str, agent: str, rollout_id: str, percentage: float, why: str) -> Rollout:
        """Change the candidate's share; growing it moves nobody back. Raises NotFound, Conflict(`rollout_ended`)."""
        share = buckets_for(percentage)
        async with self._changes.begin(agent) as work:
            before = await self._running(work, agent, rollout_id)
            stable, candidate = _arm(before, STABLE), _arm(before, CANDIDATE)
            after = replace(before, arms=split(stable.version, candidate.version, share), step=before.step + 1)
            await work.change.update_rollout(after)
            await self._release(work, "share_changed", who, agent, after.label, after.arms, why, of=after)
            documents = rollout_document(before), rollout_document(after)
            await work.audit(who, "rollout.share_changed", f"agents/{agent}/rollouts/{rollout_id}", why, *documents)
        return after

    async def promote(self, who: str, agent: str, rollout_id: str, why: str) -> Rollout:
        """The candidate serves everyone and the label points to it. Raises NotFound, Conflict(`rollout_ended`)."""
        return await self._finish(who, agent, rollout_id, why, "promoted", CANDIDATE)

    async def abort(self, who: str, agent: str, rollout_id: str, why: str) -> Rollout:
        """The stable version serves everyone again. Raises NotFound, Conflict(`rollout_ended`)."""
        return await self._finish(who, agent, rollout_id, why, "aborted", STABLE)

    async def _finish(
        self, who: str, agent: str, rollout_id: str, why: str, state: Literal["promoted", "aborted"], arm_name: str
    ) -> Rollout:
        async with self._changes.begin(agent) as work:
            before = await self._running(work, agent, rollout_id)
            after = await self._end(work, before, state)
            version = _arm(before, arm_name).version
            await self._release(work, state, who, agent, before.label, whole(version), why, rollout=rollout_id)
            documents = rollout_document(before), rollout_document(after)
            await work.audit(who, f"rollout.{state}", f"agents/{agent}/rollouts/{rollout_id}", why, *documents)
        return after

    async def _end(self, work: Work, rollout: Rollout, state: RolloutState) -> Rollout:
        ended = replace(rollout, state=state, ended_at_microseconds=work.now)
        await work.change.update_rollout(ended)
        return ended

    async def _running(self, work: Work, agent: str, rollout_id: str) -> Rollout:
        await work.agent(agent)
        rollout = await work.change.rollout(agent, rollout_id)
        if rollout is None:
            raise NotFound("rollout_not_found", f"agent {agent!r} has no rollout {rollout_id!r}", param="rollout")
        if not rollout.is_active:
            raise Conflict("rollout_ended", f"rollout {rollout_id} is {rollout.state}; start a new one")
        return rollout

    async def _release(
        self,
        work: Work,
        kind: ReleaseKind,
        who: str,
        agent: str,
        label: str,
        arms: tuple[Arm, ...],
        why: str,
        *,
        of: Rollout | None = None,
        rollout: str | None = None,
        undoes: int | None = None,
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> Release:
        row = Release(
            agent=agent,
            number=await work.change.next_release_number(agent),
            kind=kind,
            label=label,
            arms=arms,
            salt=None if of is None else of.salt,
            rollout=rollout if of is None else of.id,
            who=who,
            approved_by=None,
            why=why,
            created_at_microseconds=work.now,
            evidence=tuple(evidence),
            undoes=undoes,
        )
        await work.change.append_release(row)
        return row

    async def _last(self, work: Work, agent: str, label: str) -> Release | None:
        history = await work.change.label_history(agent, label)
        return history[-1] if history else None


def _arm(rollout: Rollout, name: str) -> Arm:
    arm = rollout.arm(name)
    if arm is None:
        raise Conflict("not_two_armed", f"rollout {rollout.id} has no arm {name!r}")
    return arm


def _rollout_running(rollout: Rollout) -> Conflict:
    return Conflict(
        "rollout_running",
        f"rollout {rollout.id} of label {rollout.label!r} is {rollout.state}; promote, abort or roll it back first",
    )


def _stale_parent(parent: int | None, newest: Version | None) -> Conflict:
    if newest is None:
        return Conflict("stale_parent", "the agent has no version yet: leave `parent` out", param="parent")
    given = "no parent was given" if parent is None else f"not {parent}"
    return Conflict(
        "stale_parent",
        f"version {newest.number} by {newest.author} is the newest, {given}; look at it and build on it",
        param="parent",
    )


def _label_moved(label: str, release: int, last: Release | None) -> Conflict:
    by = "" if last is None else f" by {last.who}: it serves version {last.version}"
    return Conflict(
        "label_moved", f"the label {label!r} moved since (release {release}{by}); look again", param="if_release"
    )
