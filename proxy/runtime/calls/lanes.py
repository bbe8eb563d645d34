"""What calls have in common that were resolved alike: where they go, which caps may touch them, what they are stamped with.

Belongs here: everything about a call that does not depend on its user, its body or the moment. It is worked out at the first
call of a kind and kept until the snapshot changes. Which version a call gets is core's resolution, whether a switch stops it
guarding.py's question.

Decision: choosing the provider, matching two caps, rendering stamps and finding the metric series cost 25 µs of each call;
looking a lane up costs 1.
"""

from dataclasses import dataclass, replace
from typing import Final

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolution import Resolution
from proxy.core.names import UNASSIGNED
from proxy.core.scopes import CallFacts, Scope
from proxy.core.snapshot import Snapshot
from proxy.core.spending.caps import Cap
from proxy.runtime.calls.header_fields import stamp_lines
from proxy.runtime.calls.routing import Route
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.run_series import OTHER, RunLabels, RunSeries
from proxy.wires.wire import RequestFacts

_MAX_LANES: Final = 50_000
_LaneKey = tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One kind of call."""

    provider: Provider
    series: RunSeries
    #: The Switchback-… lines of the answer that are the same for all.
    stamps: bytes
    #: The caps that touch these calls, or may.
    caps: tuple[Cap, ...]
    #: False: which of `caps` touch a call depends on its user, tags or model.
    caps_are_certain: bool
    #: What scopes are matched against, without user, tags and what the caller's body names.
    facts: CallFacts

    def facts_of(self, caller: Caller, request: RequestFacts | None) -> CallFacts:
        """The facts of one call."""
        facts = self.facts
        offered = None if request is None else request.tool_names
        return CallFacts(
            agent=facts.agent,
            provider=facts.provider,
            model=facts.model or (request.model if request is not None else None) or "",
            version=facts.version,
            label=facts.label,
            rollout=facts.rollout,
            arm=facts.arm,
            user=caller.user,
            tags=caller.tags,
            tools=facts.tools | offered if offered else facts.tools,
        )

    def caps_of(self, facts: CallFacts) -> tuple[Cap, ...]:
        """The caps that touch one call."""
        if self.caps_are_certain:
            return self.caps
        return tuple(cap for cap in self.caps if cap.scope.matches(facts))


class Lanes:
    """The lanes of the present snapshot."""

    def __init__(self, live: LiveSnapshot, providers: Providers, metrics: Metrics) -> None:
        self._live = live
        self._providers = providers
        self._metrics = metrics
        self._lanes: dict[_LaneKey, Lane] = {}
        live.on_change(self._forget)

    def of(self, resolution: Resolution | None, route: Route) -> Lane:
        """The lane of a call. Raises BadInput where it has no provider to go to (see Providers.choose)."""
        operation = route.operation
        key: _LaneKey = (route.wire.name, operation.is_metered, operation.is_billable)
        if resolution is not None:
            version = resolution.version
            key += (version.agent, version.number, resolution.reason, resolution.label, resolution.release)
            key += (resolution.rollout, resolution.step, resolution.arm)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MAX_LANES:
                self._lanes.clear()
            lane = self._lanes[key] = self._new(resolution, route)
        return lane

    def _new(self, resolution: Resolution | None, route: Route) -> Lane:
        version = None if resolution is None else resolution.version
        is_metered = route.operation.is_metered
        named = version.bundle.model.provider if version is not None and is_metered else None
        provider = self._providers.choose(named, route.wire.family)
        facts = _facts(resolution, provider)
        caps = self._live.caps_for(facts.agent) if route.operation.is_billable else ()
        caps = tuple(cap for cap in caps if _certain_part(cap.scope, facts).matches(facts))
        return Lane(
            provider=provider,
            series=self._metrics.runs.series(labels_of(resolution, provider.name, self._live.current)),
            stamps=b"" if resolution is None else stamp_lines(resolution),
            caps=caps,
            caps_are_certain=all(_certain_part(cap.scope, facts) == cap.scope for cap in caps),
            facts=facts,
        )

    def _forget(self, snapshot: Snapshot) -> None:
        del snapshot
        self._lanes.clear()


def labels_of(resolution: Resolution | None, provider: str, snapshot: Snapshot) -> RunLabels:
    """Labels with bounded sets of values: versions that labels reach, models that versions name."""
    if resolution is None:
        return RunLabels(UNASSIGNED, OTHER, "", provider, OTHER)
    version = resolution.version
    state = snapshot.agents.get(version.agent)
    is_reachable = state is not None and version.number in state.versions
    number = str(version.number) if is_reachable else OTHER
    return RunLabels(version.agent, number, resolution.arm or "", provider, version.bundle.model.name or OTHER)


def _facts(resolution: Resolution | None, provider: Provider) -> CallFacts:
    if resolution is None:
        return CallFacts(agent=UNASSIGNED, provider=provider.name, model="", tags={})
    version = resolution.version
    return CallFacts(
        agent=version.agent,
        provider=provider.name,
        model=version.bundle.model.name or "",
        version=version.number,
        label=resolution.label,
        rollout=resolution.rollout,
        arm=resolution.arm,
        tags={},
        tools=version.bundle.tools.names,
    )


def _certain_part(scope: Scope, facts: CallFacts) -> Scope:
    return replace(scope, user=None, tag=None, model=scope.model if facts.model else None)
