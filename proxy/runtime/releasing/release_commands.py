"""Conductor of the control path, the half an operator orders: create version -> approve -> label -> roll out -> promote or
roll back.

Each command is one atomic change: read, decide by core's rules, write rows and the audit entry, swap the live snapshot,
then answer. Commands run one after the other, so that the snapshot follows the order of the ledger. The steps between label
and rollback have modules of their own: approval.py (what a protected label demands), proposal_commands.py (a second person),
rollout_commands.py; release_rows.py writes the ledger rows of them all.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.core.calls.identity import required_agent
from proxy.core.errors import Conflict, NotFound
from proxy.core.names import check_agent_name, check_label_name
from proxy.core.nearest import nearest_of
from proxy.core.proof.emergency import RollbackOrder
from proxy.core.releasing.arms import meant_arm, without
from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.protection import check_goes_back
from proxy.core.releasing.releases import Release, check_versions_exist, plan_rollback, release_document, whole
from proxy.core.snapshot import Agent, AgentState, Rollout, agent_document, label_document
from proxy.core.tokens import Role, check_role
from proxy.core.versions.components import Bundle, parse_bundle
from proxy.core.versions.new_versions import check_new_version, says_the_same, with_plain_texts
from proxy.core.versions.versions import Version, version_summary
from proxy.runtime.releasing import release_rows
from proxy.runtime.releasing.approval import Wanted, clear
from proxy.runtime.releasing.preflight import Foreseen, Preflight, look_ahead
from proxy.runtime.releasing.release_rows import (
    Cause,
    check_movable,
    check_unmoved,
    end_rollout,
    rollout_running,
    running_rollout,
)
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.work import EmergencyWork
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.validation.schemas import check_schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDraft:
    """What an author wants a new version to be."""

    components: Mapping[str, Any]
    parent: int | None
    message: str
    tested_against: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: Mapping[str, Any] = field(default_factory=dict[str, Any])


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
    """Agents, versions, labels."""

    def __init__(self, changes: Changes, metrics: Metrics, preflight: Preflight | None = None) -> None:
        """Without a `preflight` nobody looks ahead."""
        self._changes = changes
        self._metrics = metrics
        self._preflight = preflight

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

    async def update_agent(
        self, who: str, name: str, changed: Mapping[str, Any], why: str, *, role: Role = "author"
    ) -> Agent:
        """Change description, default_label, allow_latest, unapplied. Raises NotFound(`agent_not_found`), and
        Forbidden(`role_insufficient`) where calls would leave the label they follow for another one: who writes versions does
        not decide what is served. NotFound(`label_not_set`) where they would leave it for none."""
        if "default_label" in changed:
            check_label_name(changed["default_label"])
        async with self._changes.begin(name) as work:
            state = await work.state(name)
            before = state.agent
            after = replace(before, **changed)
            if after == before:
                work.nothing_changed()
                return before
            if after.default_label != before.default_label:
                is_protected = await work.change.protection(name, before.default_label) is not None
                leads_calls = before.default_label in state.labels or after.default_label in state.labels
                check_role(role, "admin" if is_protected or leads_calls else "author")
                _check_leads_somewhere(state, after.default_label)
            await work.change.update_agent(after)
            documents = agent_document(before), agent_document(after)
            await work.audit(who, "agent.updated", f"agents/{name}", why, *documents)
        return after

    async def archive_agent(self, who: str, name: str, why: str) -> Agent:
        """Take an agent out of service. Raises NotFound, Conflict(`rollout_running`)."""
        async with self._changes.begin(name) as work:
            state = await work.state(name)
            if state.rollouts:
                raise rollout_running(next(iter(state.rollouts.values())))
            after = replace(state.agent, archived=True)
            await work.change.update_agent(after)
            await work.audit(who, "agent.archived", f"agents/{name}", why, after=agent_document(after))
        return after

    async def unarchive_agent(self, who: str, name: str, why: str) -> Agent:
        """Put an agent that was archived back in service: its labels serve what they served. Raises
        NotFound(`agent_not_found`), Conflict(`agent_not_archived`)."""
        async with self._changes.begin(name) as work:
            agent = required_agent(await work.change.agent(name), name)
            if not agent.archived:
                raise Conflict("agent_not_archived", f"agent {name!r} is in service", param="agent")
            after = replace(agent, archived=False)
            await work.change.update_agent(after)
            await work.audit(who, "agent.unarchived", f"agents/{name}", why, after=agent_document(after))
        return after

    # Versions

    async def create_version(self, who: str, agent: str, draft: VersionDraft, why: str = "") -> tuple[Version, bool]:
        """The new version and True, or the newest one and False where it is identical already. `why` defaults to the
        draft's message.

        Raises BadInput(`bad_version`), NotFound(`agent_not_found`), Conflict(`stale_parent`).
        """
        bundle = await _new_bundle(draft.components)
        async with self._changes.begin(agent) as work:
            found = await work.agent(agent)
            newest = await work.change.version(agent, found.newest) if found.newest else None
            if newest is not None and says_the_same(newest.bundle, bundle):
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

    async def preflight(self, agent: str, label: str | None, version: int) -> Foreseen:
        """What would go wrong if a label (the agent's default one) served a version. Raises NotFound (`agent_not_found`,
        `version_not_found`)."""
        self._changes.check_present()
        ahead = await look_ahead(self._preflight, agent)
        async with self._changes.begin(agent) as work:
            work.nothing_changed()
            state = await work.state(agent)
            check_versions_exist(agent, state.agent.newest, version)
            found = await work.change.version(agent, version)
            return ahead.look(state, label or state.agent.default_label, found)

    async def preflight_draft(self, agent: str, label: str | None, components: Mapping[str, Any]) -> Foreseen:
        """The same of a version that is not made yet, also of an agent that is not. Raises BadInput (`bad_version`,
        `bad_name`)."""
        check_agent_name(agent)
        bundle = await _new_bundle(components)
        self._changes.check_present()
        ahead = await look_ahead(self._preflight, agent)
        state = self._changes.snapshot.agents.get(agent) or AgentState(Agent(name=agent))
        draft = Version(
            agent=agent,
            number=state.agent.newest + 1,
            bundle=bundle,
            parent=state.agent.newest or None,
            author="",
            message="",
            created_at_microseconds=self._changes.now,
        )
        return ahead.look(state, label or state.agent.default_label, draft)

    # Labels

    async def move_label(
        self,
        who: str,
        agent: str,
        label: str,
        version: int,
        why: str,
        *,
        role: Role = "operator",
        if_release: int | None = None,
        evidence: Sequence[Mapping[str, Any]] = (),
        force: bool = False,
        notices: list[str] | None = None,
    ) -> Moved | Proposal:
        """Point a label at a version; the proposal to where a second person must approve. `force`: also where a preflight
        finds that the version would not work; what it could not look at is added to `notices`, and that a label is new
        whose name is nearly another's.

        Raises NotFound (`agent_not_found`, `version_not_found`), Conflict (`label_moved`, `rollout_running`,
        `evaluation_required`), PreflightFailed, Forbidden(`role_insufficient`).
        """
        check_label_name(label)
        self._changes.check_present()
        ahead = await look_ahead(self._preflight, agent)
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            await check_movable(work, state, label, version, if_release)
            current = state.labels.get(label)
            if current is not None and current.version == version:
                work.nothing_changed()
                return Moved(False, label, version, current.release, f"{label} serves version {version} already")
            cause = Cause(who=who, why=why, evidence=evidence)
            cause = await ahead.check(work, state, label, version, cause, force=force, notices=notices)
            proposal = await clear(work, state, Wanted(action="move", label=label, version=version), cause, role)
            if proposal is not None:
                return proposal
            row = await release_rows.move(work, state, label, version, cause)
        near = "" if current is not None else nearest_of(label, [*state.labels, state.agent.default_label])
        if near and notices is not None and label != state.agent.default_label:
            notices.append(f"{label!r} is a new label, which only calls that name it follow{near}")
        return Moved(True, label, version, row.number, row=row)

    async def delete_label(self, who: str, agent: str, label: str, why: str) -> None:
        """Remove a label. Raises NotFound(`label_not_set`), Conflict (`rollout_running`, `default_label`,
        `label_protected`)."""
        async with self._changes.begin(agent) as work:
            state = await work.state(agent)
            if label not in state.labels:
                raise NotFound("label_not_set", f"agent {agent!r} has no label {label!r}", param="label")
            if label in state.rollouts:
                raise rollout_running(state.rollouts[label])
            if label == state.agent.default_label:
                raise Conflict("default_label", f"{label!r} is the agent's default label; name another default first")
            if await work.change.protection(agent, label) is not None:
                raise Conflict("label_protected", f"{label!r} is protected; an admin has to end that first")
            serves = whole(state.labels[label].version)
            row = await release_rows.append_release(
                work, "label_deleted", Cause(who=who, why=why), agent, label, serves
            )
            await work.change.delete_label(agent, label)
            documents = label_document(state.labels[label]), release_document(row)
            await work.audit(who, "label.deleted", f"agents/{agent}/labels/{label}", why, *documents)

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
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> Moved:
        """The one control point: end the rollout of a label, else take the label back. See core.releases.plan_rollback.

        Waits for nobody, whatever protects the label; of a protected one `to` must lie behind it (Conflict `never_served`).
        Works also while the store is away, as far as memory reaches (Unavailable `store_unavailable` beyond).
        """
        order = RollbackOrder(
            who=who, agent=agent, label=label, why=why, undoes=undoes, to=to, evidence=tuple(evidence)
        )
        moved = await self._changes.emergency(order, roll_back_now)
        if moved.changed:
            self._metrics.rollbacks.labels(agent, cause).inc()
        return moved

    async def take_out(
        self,
        who: str,
        seen: Rollout,
        arm: str,
        why: str,
        *,
        cause: str = "operator",
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> Rollout:
        """Give one arm's users, those in a conversation among them, back to stable, while the other arms go on; if the rollout still is
        as it was `seen`. Waits for nobody, whatever protects the label. Raises NotFound (`rollout_not_found`, `arm_not_found`),
        Conflict (`rollout_ended`, `rollout_moved`, `no_arms`), Unavailable: without the store only all of it is taken back."""
        async with self._changes.begin(seen.agent) as work:
            before = await running_rollout(work, seen.agent, seen.id)
            check_unmoved(before, seen.step)
            arms = without(before.arms, meant_arm(before, arm).name)
            by = Cause(who=who, why=why, evidence=evidence)
            after = await release_rows.share_otherwise(work, before, arms, by, "arm_taken_out")
        self._metrics.rollbacks.labels(seen.agent, cause).inc()
        return after


async def roll_back_now(work: EmergencyWork, order: RollbackOrder) -> Moved:
    """The rollback itself, over the store or the journal."""
    agent, to = order.agent, order.to
    state = await work.state(agent)
    label = order.label or state.agent.default_label
    history = await work.change.label_history(agent, label)
    if to is not None:
        check_versions_exist(agent, state.agent.newest, to)
    plan = plan_rollback(state, label, history, undoes=order.undoes, to=to, is_whole=work.has_whole_ledger)
    if plan.undoes is None:
        work.nothing_changed()
        return Moved(False, label, plan.version, state.labels[label].release, plan.reason)
    if to is not None:
        check_goes_back(await work.change.protection(agent, label), history, to)
    if plan.rollout is not None:
        await end_rollout(work, plan.rollout, "rolled_back")
    rollout = None if plan.rollout is None else plan.rollout.id
    by, arms = Cause(who=order.who, why=order.why, evidence=order.evidence), whole(plan.version)
    row = await release_rows.append_release(
        work, "rolled_back", by, agent, label, arms, undoes=plan.undoes, rollout=rollout
    )
    before = label_document(state.labels[label], plan.rollout)
    subject = f"agents/{agent}/labels/{label}"
    await work.audit(order.who, "label.rolled_back", subject, order.why, before, release_document(row), order.evidence)
    return Moved(True, label, plan.version, row.number, row=row)


def _check_leads_somewhere(state: AgentState, label: str) -> None:
    """Raises NotFound(`label_not_set`) where calls that are served now would follow a label that serves nothing."""
    now = state.agent.default_label
    if now not in state.labels or label in state.labels:
        return
    raise NotFound(
        "label_not_set",
        f"the label {label!r} of agent {state.agent.name!r} is not set, and each call that names no label, which now follows {now!r}, "
        f"would be refused; set it first{nearest_of(label, list(state.labels))}",
        param="default_label",
    )


async def _new_bundle(components: Mapping[str, Any]) -> Bundle:
    """Raises BadInput(`bad_version`)."""
    plain = with_plain_texts(components)
    check_new_version(plain)
    bundle = parse_bundle(plain)
    if any(validator.kind == "json_schema" for validator in bundle.policy.validators):
        # A large one takes its time, and calls go before.
        await asyncio.to_thread(check_schemas, bundle.policy.validators)
    return bundle


def _stale_parent(parent: int | None, newest: Version | None) -> Conflict:
    if newest is None:
        return Conflict("stale_parent", "the agent has no version yet: leave `parent` out", param="parent")
    given = "no parent was given" if parent is None else f"not {parent}"
    return Conflict(
        "stale_parent",
        f"version {newest.number} by {newest.author} is the newest, {given}; look at it and build on it",
        param="parent",
    )
