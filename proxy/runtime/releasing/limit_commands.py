"""What operators order about switches and caps. Each command is one atomic change, in force before it is answered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.names import RESERVED_LABEL, UNASSIGNED
from proxy.core.proof.emergency import SwitchOrder
from proxy.core.releasing.protection import check_falls_back
from proxy.core.releasing.releases import CANDIDATE, STABLE, check_versions_exist
from proxy.core.scopes import Scope, parse_scope
from proxy.core.spending.caps import (
    CAP_DIMENSIONS,
    AtLimit,
    Cap,
    CapUnit,
    CapWindow,
    cap_document,
    limit_amount,
    shown_amount,
)
from proxy.core.switches import SWITCH_DIMENSIONS, Switch, SwitchMode, switch_document
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.releasing.preflight import Preflight, check_fallback
from proxy.runtime.state.changes import Changes
from proxy.runtime.state.data_path import DataPath
from proxy.runtime.state.work import EmergencyWork, Work

_MAX_REPLY_CHARACTERS = 20_000
#: Who ends what ends by itself.
_NOBODY = "switchback"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchDraft:
    """A switch an operator wants on. `expires_at_microseconds` is UTC."""

    scope: Mapping[str, Any]
    mode: SwitchMode
    expires_at_microseconds: int | None = None
    reply_text: str | None = None
    fallback_version: int | None = None
    cut_streams: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CapDraft:
    """A cap an operator wants. `limit` is in dollars for usd, else a whole number."""

    scope: Mapping[str, Any]
    window: CapWindow
    unit: CapUnit
    limit: Any
    at_limit: AtLimit = "block"


class LimitCommands:
    """Switches and caps."""

    def __init__(
        self,
        changes: Changes,
        identifiers: Identifiers,
        request_path: DataPath,
        providers: Collection[str] = frozenset(),
        preflight: Preflight | None = None,
    ) -> None:
        """`providers`: the names of all there are; empty: not known here, so that none is refused. Without a `preflight` nobody
        looks at what a switch falls back to."""
        self._changes = changes
        self._identifiers = identifiers
        self._request_path = request_path
        self._providers = providers
        self._preflight = preflight

    async def switch_on(
        self, who: str, draft: SwitchDraft, why: str, *, force: bool = False, notices: list[str] | None = None
    ) -> Switch:
        """Put a kill switch on; the next call meets it. Works also while the store is away.

        Raises BadInput (`bad_scope`, `bad_switch`), NotFound (`agent_not_found`, `version_not_found`), Conflict(`never_served`)
        where a protected label's calls would fall back to a version that label never pointed to; and PreflightFailed, unless
        forced, where they would fall back to one that would not work. What could not be looked at is added to `notices`.
        """
        _check_mode_members(draft)
        switch = Switch(
            id=self._identifiers.new("sw"),
            scope=parse_scope(draft.scope, SWITCH_DIMENSIONS),
            mode=draft.mode,
            why=why,
            created_by=who,
            created_at_microseconds=self._changes.now,
            expires_at_microseconds=draft.expires_at_microseconds,
            reply_text=draft.reply_text,
            fallback_version=draft.fallback_version,
            cut_streams=draft.cut_streams,
        )
        if not switch.is_active(self._changes.now):
            raise BadInput("bad_switch", "expires lies in the past", param="expires")
        self._check_provider(switch.scope)

        def in_force() -> None:
            if switch.cut_streams:
                self._request_path.cut(switch)

        evidence: tuple[Mapping[str, Any], ...] = ()
        if switch.fallback_version is not None:
            state = self._changes.snapshot.agents.get(switch.scope.agent or "")
            said: list[str] = [] if notices is None else notices
            where = self._preflight, state, switch.scope.label, switch.fallback_version
            evidence = await check_fallback(*where, force=force, notices=said)
        await self._changes.emergency(SwitchOrder(switch=switch, evidence=evidence), switch_on_now, in_force)
        return switch

    async def switch_off(self, who: str, switch_id: str, why: str) -> Switch:
        """Take a kill switch off. Raises NotFound(`switch_not_found`)."""
        async with self._changes.begin() as work:
            switch = await _switch_that_is_on(work, switch_id)
            if not switch.is_active(work.now):
                raise NotFound("switch_not_found", f"switch {switch_id!r} has expired", param="switch")
            await _end_switch(work, switch, "switch.off", who, why)
        return switch

    async def expire_switch(self, switch_id: str) -> None:
        """End a switch whose time is over; nothing happens to another. Raises NotFound(`switch_not_found`)."""
        async with self._changes.begin() as work:
            switch = await _switch_that_is_on(work, switch_id)
            if switch.is_active(work.now):
                work.nothing_changed()
                return
            await _end_switch(work, switch, "switch.expired", _NOBODY, "its time is over")

    async def set_cap(self, who: str, draft: CapDraft, why: str) -> Cap:
        """A new cap; it counts from now. Raises BadInput (`bad_scope`, `bad_cap`, `bad_limit`), NotFound, and
        Conflict(`cap_exists`), which names the cap, where one counts the same calls already.

        Decision: two caps of one scope, window and unit are refused. The lower of them would hold silently, whatever the other
        says; `change_cap` gives the one there is another limit and keeps what it counted.
        """
        scope = parse_scope(draft.scope, CAP_DIMENSIONS)
        if draft.window == "rollout" and scope.rollout is None:
            raise BadInput("bad_cap", "a window of one rollout needs scope.rollout", param="window")
        if draft.unit == "in_flight" and draft.window != "total":
            raise BadInput("bad_cap", "calls in flight are counted without a window: say total", param="window")
        self._check_provider(scope)
        async with self._changes.begin() as work:
            await _check_scope(work, scope)
            await _check_arm(work, scope)
            self._check_new(scope, draft)
            cap = Cap(
                id=self._identifiers.new("cap"),
                scope=scope,
                window=draft.window,
                unit=draft.unit,
                limit_amount=limit_amount(draft.unit, draft.limit),
                at_limit=draft.at_limit,
                why=why,
                created_by=who,
                created_at_microseconds=work.now,
            )
            await work.change.insert_cap(cap)
            await work.audit(who, "cap.set", f"caps/{cap.id}", why, after=cap_document(cap))
        return cap

    def _check_provider(self, scope: Scope) -> None:
        """Raises BadInput(`bad_scope`): there are no providers but those of the settings, so that another one is a typing error."""
        if scope.provider is not None and self._providers and scope.provider not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise BadInput(
                "bad_scope", f"scope.provider {scope.provider!r} is unknown; there are {known}", param="scope.provider"
            )

    def _check_new(self, scope: Scope, draft: CapDraft) -> None:
        for cap in self._changes.snapshot.caps:
            if (cap.window, cap.unit) == (draft.window, draft.unit) and cap.scope.means_same(scope):
                raise Conflict(
                    "cap_exists",
                    f"cap {cap.id} has this scope, window and unit already, with a limit of "
                    f"{shown_amount(cap.unit, cap.limit_amount):g}; change or end that one",
                    param="cap",
                )

    async def change_cap(self, who: str, cap_id: str, limit: Any, at_limit: AtLimit | None, why: str) -> Cap:
        """Another limit for the same cap; what it has counted stays. Raises NotFound(`cap_not_found`), BadInput."""
        async with self._changes.begin() as work:
            before = await _cap(work, cap_id)
            after = replace(
                before,
                limit_amount=limit_amount(before.unit, limit),
                at_limit=before.at_limit if at_limit is None else at_limit,
                why=why,
            )
            await work.change.replace_cap(after)
            await work.audit(who, "cap.changed", f"caps/{cap_id}", why, cap_document(before), cap_document(after))
        return after

    async def end_cap(self, who: str, cap_id: str, why: str) -> Cap:
        """Remove a cap. Raises NotFound(`cap_not_found`)."""
        async with self._changes.begin() as work:
            cap = await _cap(work, cap_id)
            await work.change.end_cap(cap_id, who, work.now)
            await work.audit(who, "cap.ended", f"caps/{cap_id}", why, cap_document(cap))
        return cap


async def switch_on_now(work: EmergencyWork, order: SwitchOrder) -> Switch:
    """Putting it on itself, over the store or the journal."""
    switch = order.switch
    await _check_scope(work, switch.scope)
    await _check_fallback(work, switch.scope, switch.fallback_version)
    await work.change.insert_switch(switch)
    after = switch_document(switch)
    await work.audit(order.who, "switch.on", order.subject, order.why, after=after, evidence=order.evidence)
    return switch


async def _switch_that_is_on(work: Work, switch_id: str) -> Switch:
    switch = await work.change.switch(switch_id)
    if switch is None:
        raise NotFound("switch_not_found", f"no switch {switch_id!r} is on", param="switch")
    return switch


async def _end_switch(work: Work, switch: Switch, what: str, who: str, why: str) -> None:
    await work.change.end_switch(switch.id, who, work.now)
    await work.audit(who, what, f"switches/{switch.id}", why, switch_document(switch))


async def _cap(work: Work, cap_id: str) -> Cap:
    cap = await work.change.cap(cap_id)
    if cap is None:
        raise NotFound("cap_not_found", f"there is no cap {cap_id!r}", param="cap")
    return cap


async def _check_scope(work: EmergencyWork, scope: Scope) -> None:
    """A scope must name an agent, version and label that exist: a typing error must not make a switch that stops nothing.

    Raises NotFound (`agent_not_found`, `version_not_found`, `label_not_set`).
    """
    if scope.agent is None or scope.agent == UNASSIGNED:
        return
    state = await work.state(scope.agent)
    if scope.version is not None:
        check_versions_exist(scope.agent, state.agent.newest, scope.version)
    if scope.label is not None and scope.label != RESERVED_LABEL and scope.label not in state.labels:
        raise NotFound(
            "label_not_set", f"the label {scope.label!r} of agent {scope.agent!r} is not set", param="scope.label"
        )


async def _check_arm(work: Work, scope: Scope) -> None:
    """The same for the arm a cap names; its rollout may be one that has yet to start. Raises BadInput(`bad_scope`)."""
    if scope.arm is None:
        return
    if scope.agent is None or scope.rollout is None:
        raise BadInput("bad_scope", "scope.arm needs scope.rollout: an arm belongs to a rollout", param="scope.arm")
    rollout = await work.change.rollout(scope.agent, scope.rollout)
    known = (STABLE, CANDIDATE) if rollout is None else tuple(arm.name for arm in rollout.arms)
    if scope.arm not in known:
        there_are = f"there are {', '.join(known)}" + ("" if rollout else "; arms with other names once it runs")
        raise BadInput("bad_scope", f"scope.arm {scope.arm!r} is none; {there_are}", param="scope.arm")


async def _check_fallback(work: EmergencyWork, scope: Scope, version: int | None) -> None:
    """Raises NotFound(`version_not_found`), Conflict(`never_served`)."""
    if scope.agent is None or version is None:
        return
    state = await work.state(scope.agent)
    check_versions_exist(scope.agent, state.agent.newest, version)
    # A switch that names no label meets the calls of every one, and whoever has it moved meanwhile.
    labels = state.labels if scope.label is None else [scope.label]
    protections = [await work.change.protection(scope.agent, label) for label in labels]
    protected = [one for one in protections if one is not None]
    histories = [(one, await work.change.label_history(scope.agent, one.label)) for one in protected]
    check_falls_back(histories, version)


def _check_mode_members(draft: SwitchDraft) -> None:
    if (draft.mode == "reply") != (draft.reply_text is not None):
        raise BadInput("bad_switch", "mode reply, and only it, needs `reply`", param="reply")
    if draft.reply_text is not None and len(draft.reply_text) > _MAX_REPLY_CHARACTERS:
        raise BadInput("bad_switch", f"reply is longer than {_MAX_REPLY_CHARACTERS} characters", param="reply")
    if (draft.mode == "fallback") != (draft.fallback_version is not None):
        raise BadInput("bad_switch", "mode fallback, and only it, needs `fallback_version`", param="fallback_version")
    if draft.mode == "fallback" and "agent" not in draft.scope:
        raise BadInput("bad_switch", "mode fallback needs scope.agent: versions are numbered per agent", param="scope")
