"""What calls have in common that were resolved alike: where they go, which caps may touch them, what they are stamped with.

Belongs here: everything about a call that does not depend on its user, its body or the moment. It is worked out at the first
call of a kind and kept until the snapshot changes. Which version a call gets is core's resolution, whether a switch stops it
guarding.py's question.

Decision: choosing the provider, matching two caps, rendering stamps and finding the metric series cost 25 µs of each call;
looking a lane up costs 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolution import PASSED_THROUGH, Resolution
from proxy.core.errors import BadInput
from proxy.core.names import UNASSIGNED
from proxy.core.releasing.releases import STABLE
from proxy.core.rollouts.shadow import ShadowStep, shadow_step
from proxy.core.scopes import CallFacts, Scope
from proxy.core.snapshot import Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.versions.tool_labels import labels_of_version, models_of_version
from proxy.core.versions.validators import Validator
from proxy.runtime.calls.routing import Route
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.run_series import OTHER, RunLabels, RunSeries
from proxy.runtime.transport.header_fields import agent_lines, stamp_lines
from proxy.wires.wire import Operation, RequestFacts

_MAX_LANES: Final = 50_000
#: Versions that only pins reach, of which something is remembered.
_MAX_PINS: Final = 256
_BOUNDED_UNITS: Final = frozenset({"usd", "tokens"})
_NO_NAMES: Final[frozenset[str]] = frozenset()
_LaneKey = tuple[object, ...]


class Passed(NamedTuple):
    """Whose call it is on which no version is in force, and the label it would have followed."""

    agent: str
    label: str | None


class TouchingCaps:
    """The caps that touch a call, and what they ask of it."""

    __slots__ = ("caps", "needs_bound", "needs_ceiling")

    def __init__(self, caps: tuple[Cap, ...]) -> None:
        self.caps = caps
        bounded = [cap for cap in caps if cap.unit in _BOUNDED_UNITS]
        #: Whether one counts what has to be bounded first.
        self.needs_bound = bool(bounded)
        #: Whether a hard one makes an output bound necessary.
        self.needs_ceiling = any(cap.is_hard for cap in bounded)


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One kind of call."""

    provider: Provider
    series: RunSeries
    #: The Switchback-… lines of the answer that are the same for all.
    stamps: bytes
    #: The caps that touch these calls, or may.
    caps: TouchingCaps
    #: False: which of `caps` touch a call depends on its user, tags or model.
    caps_are_certain: bool
    #: What scopes are matched against, without user, tags and what the caller's body names.
    facts: CallFacts
    #: False: nothing is asked that a model answers, so a body names all there is to know.
    may_hide: bool = True
    #: What finished answers are judged by, where they are.
    validators: tuple[Validator, ...] = ()
    #: What of these calls is copied for a candidate, where that is so.
    shadow: ShadowStep | None = None
    #: Whether their end is somebody's matter beside the record's: they are judged, or copied.
    has_followers: bool = False
    #: What models of the provider were seen to answer as.
    answered_as: dict[str, str] = field(default_factory=dict[str, str])

    def facts_of(self, caller: Caller, request: RequestFacts | None) -> CallFacts:
        """The facts of one call."""
        facts = self.facts
        offered = None if request is None else request.tool_names
        model = facts.model or (request.model if request is not None else None) or ""
        further = facts.further_models
        if request is not None and request.further_models:
            further |= request.further_models
        return CallFacts(
            agent=facts.agent,
            provider=facts.provider,
            model=model,
            version=facts.version,
            label=facts.label,
            rollout=facts.rollout,
            arm=facts.arm,
            user=caller.user,
            tags=caller.tags,
            tools=facts.tools | offered if offered else facts.tools,
            model_answered=self.answered_as.get(model),
            further_models=further,
            model_is_unseen=self.may_hide and (request is None or not model),
            body_is_unseen=self.may_hide and request is None,
        )

    def caps_of(self, facts: CallFacts) -> TouchingCaps:
        """The caps that touch one call."""
        if self.caps_are_certain:
            return self.caps
        return TouchingCaps(tuple([cap for cap in self.caps.caps if cap.touches(facts)]))


class Lanes:
    """The lanes of the present snapshot."""

    def __init__(self, live: LiveSnapshot, providers: Providers, metrics: Metrics) -> None:
        self._live = live
        self._providers = providers
        self._metrics = metrics
        self._lanes: dict[_LaneKey, Lane] = {}
        self._pins: set[tuple[str, int]] = set()
        live.on_change(self._forget)
        live.answered_names.on_news(lambda _: self._lanes.clear())

    def of(self, resolution: Resolution | None, route: Route, passed: Passed | None = None) -> Lane:
        """The lane of a call; `passed` for one of an agent without a version in force. Raises BadInput where it has no provider
        to go to (see Providers.choose)."""
        key = _key(resolution, route, passed)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MAX_LANES:
                self._lanes.clear()
            lane = self._lanes[key] = self._new(resolution, route, passed)
        return lane

    def series_apart(self, resolution: Resolution | None, agent: str) -> RunSeries:
        """The series of a call that was refused before it had a lane; `agent` as metrics name it."""
        if resolution is not None:
            return self._metrics.runs.series(self.labels_of(resolution, ""))
        return self._metrics.runs.series(RunLabels(agent, OTHER, "", "", OTHER))

    def labels_of(
        self, resolution: Resolution | None, provider: str, passed: Passed | None = None, model: str = ""
    ) -> RunLabels:
        """Labels with bounded sets of values: versions that labels reach and some that pins do, models that versions name."""
        if resolution is None:
            if passed is not None:
                return RunLabels(passed.agent, "", "", provider, OTHER)
            return RunLabels(UNASSIGNED, OTHER, "", provider, OTHER)
        version = resolution.version
        state = self._live.agent(version.agent)
        is_reachable = state is not None and version.number in state.versions
        number = str(version.number) if is_reachable or self._is_pin(version.agent, version.number) else OTHER
        named = model or version.bundle.model.name or OTHER
        return RunLabels(version.agent, number, resolution.arm or "", provider, named)

    def _is_pin(self, agent: str, number: int) -> bool:
        """Whether a version that only pins reach has a series of its own: the first of them have."""
        pin = (agent, number)
        if pin not in self._pins and len(self._pins) < _MAX_PINS:
            self._pins.add(pin)
        return pin in self._pins

    def _new(self, resolution: Resolution | None, route: Route, passed: Passed | None) -> Lane:
        version = None if resolution is None else resolution.version
        operation = route.operation
        named = None if version is None else version.bundle.model.provider
        if named is not None and operation.takes_embeddings_model and not self._speaks(named, route):
            named = None  # whoever answers it need not be who makes vectors
        provider = self._provider(named, route)
        answered_as = self._live.answered_names.of(provider.name)
        if provider.deployments:
            answered_as = {**provider.deployments, **answered_as}
        facts = _facts(resolution, provider, passed, answered_as, operation)
        caps = self._live.caps_for(facts.agent) if operation.is_billable else ()
        caps = tuple(cap for cap in caps if _certain_part(cap.scope, facts).matches(facts))
        stamps = b"" if passed is None else agent_lines(passed.agent, None, PASSED_THROUGH)
        # What is judged, or copied to be judged, is text.
        validators = version.bundle.policy.validators if version is not None and operation.has_output else ()
        shadow = self._shadow(resolution) if operation.has_output else None
        return Lane(
            provider=provider,
            series=self._metrics.runs.series(self.labels_of(resolution, provider.name, passed, facts.model)),
            stamps=stamps if resolution is None else stamp_lines(resolution),
            caps=TouchingCaps(caps),
            caps_are_certain=all(_certain_part(cap.scope, facts) == cap.scope for cap in caps),
            facts=facts,
            may_hide=operation.is_billable,
            validators=validators,
            shadow=shadow,
            has_followers=bool(validators) or shadow is not None,
            answered_as=answered_as,
        )

    def _provider(self, named: str | None, route: Route) -> Provider:
        """Where a call goes. Raises BadInput (see Providers.choose)."""
        if not route.is_deployed:
            return self._providers.choose(named, route.wire.family)
        deployed = self._providers.with_deployments
        provider = deployed if named is None or deployed is None else self._providers.choose(named, route.wire.family)
        if provider is None or not provider.dialect.has_deployments:
            raise BadInput(
                "wire_mismatch",
                f"the version's provider {named!r} has no deployments, but the call's path names one: call /v1 below the base URL",
            )
        return provider

    def _speaks(self, name: str, route: Route) -> bool:
        """Whether a provider takes the calls of a route's family."""
        provider = self._providers.named(name)
        return provider is None or provider.family == route.wire.family

    def _shadow(self, resolution: Resolution | None) -> ShadowStep | None:
        """What is copied of calls that a rollout gives stable."""
        if resolution is None or resolution.arm != STABLE:
            return None
        state = self._live.agent(resolution.version.agent)
        rollout = None if state is None else state.rollouts.get(resolution.label or "")
        return None if rollout is None else shadow_step(rollout)

    def _forget(self, snapshot: Snapshot) -> None:
        del snapshot
        self._lanes.clear()


def _key(resolution: Resolution | None, route: Route, passed: Passed | None) -> _LaneKey:
    operation = route.operation
    if resolution is None:
        return route.wire.name, operation.is_metered, operation.is_billable, route.is_deployed, *(passed or ())
    version = resolution.version
    return (
        route.wire.name,
        operation.is_metered,
        operation.is_billable,
        route.is_deployed,
        version.agent,
        version.number,
        resolution.reason,
        resolution.label,
        resolution.release,
        resolution.rollout,
        resolution.step,
        resolution.arm,
    )


def _facts(
    resolution: Resolution | None,
    provider: Provider,
    passed: Passed | None,
    answered_as: Mapping[str, str],
    operation: Operation,
) -> CallFacts:
    if resolution is None:
        agent, label = (UNASSIGNED, None) if passed is None else passed
        return CallFacts(agent=agent, provider=provider.name, model="", label=label, tags={})
    version = resolution.version
    bundle = version.bundle
    model, tools, further = bundle.model.name, labels_of_version(bundle), models_of_version(bundle)
    if operation.takes_embeddings_model:
        # Nothing else of the version goes out with it.
        model, tools, further = bundle.model.embeddings, _NO_NAMES, _NO_NAMES
    model = model or ""
    return CallFacts(
        agent=version.agent,
        provider=provider.name,
        model=model,
        version=version.number,
        label=resolution.label,
        rollout=resolution.rollout,
        arm=resolution.arm,
        tags={},
        tools=tools,
        model_answered=answered_as.get(model),
        further_models=further,
    )


def _certain_part(scope: Scope, facts: CallFacts) -> Scope:
    return replace(scope, user=None, tag=None, model=scope.model if facts.model else None)
