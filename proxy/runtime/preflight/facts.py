"""What a preflight looks at: where a version's calls would go, what is known of its model there, and what calls were like lately.

Which parameters a model refuses is asked of the wire itself, by putting the version into a smallest call, so that both can never
disagree.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Final, Protocol

from proxy.core.calls.run_filter import RunFilter
from proxy.core.errors import Refusal, Unavailable
from proxy.core.releasing.preflight import Place, PreflightFacts, RecentCalls
from proxy.core.snapshot import AgentState
from proxy.core.spending.prices import missing_output_rate
from proxy.core.versions.components import Bundle
from proxy.core.versions.versions import Version
from proxy.runtime.providers import Provider, Providers
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.recorder import Flushes
from proxy.store.ports.runs import RunStore
from proxy.store.ports.versions import VersionSource
from proxy.wires.wire import InjectionPlan, Wire

_RUNS_SEEN: Final = 100
_AT_ONCE_SECONDS: Final = 0.25
#: So long the newest calls are waited for: a slow store has not to have them.
_FLUSH_SECONDS: Final = 0.5


class FactStore(VersionSource, RunStore, Protocol):
    """What the store tells of versions and calls."""


class PreflightSource:
    """Gathers facts; changes nothing."""

    def __init__(
        self,
        live: LiveSnapshot,
        store: FactStore,
        providers: Providers,
        prices: PriceBook,
        wires: Sequence[Wire],
    ) -> None:
        self._live = live
        self._store = store
        #: Who has the runs that wait to be written; known once calls are taken.
        self.recorder: Flushes | None = None
        self._providers = providers
        self._prices = prices
        self._wires = wires
        #: Looked for, and not imported: that takes a quarter of a second.
        self._judges_schemas = find_spec("jsonschema") is not None
        self._families: Mapping[str, str] = {wire.name: wire.family for wire in wires}

    async def recent_calls(self, agent: str) -> RecentCalls:
        """Of an agent's last calls, whichever process served them. Raises Unavailable."""
        if self.recorder is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self.recorder.flush()
        return await self._of_runs(agent)

    async def calls_known_now(self, agent: str) -> RecentCalls:
        """The same, for whoever cannot wait: nothing where the store does not answer at once."""
        try:
            async with asyncio.timeout(_AT_ONCE_SECONDS):
                return await self._of_runs(agent)
        except (TimeoutError, Unavailable):
            return RecentCalls()

    async def version_now(self, agent: str, number: int) -> Version | None:
        """A version, for whoever cannot wait; None where it is not there, or the store does not answer at once."""
        state = self._live.current.agents.get(agent)
        known = None if state is None else state.versions.get(number)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(_AT_ONCE_SECONDS):
                return await self._store.version(agent, number)
        except (TimeoutError, Unavailable):
            return None

    async def _of_runs(self, agent: str) -> RecentCalls:
        live = (await self._store.runs(RunFilter(agent=agent, kind="live"), None, _RUNS_SEEN)).items
        spoken = {run.wire: self._families[run.wire] for run in live if run.wire in self._families}
        return RecentCalls(
            families=frozenset(spoken.values()),
            wires=frozenset(spoken),
            variables=[frozenset(run.sent_variables) for run in live if run.sent_variables is not None],
        )

    def facts(
        self,
        state: AgentState,
        label: str | None,
        version: Version,
        recent: RecentCalls,
        awaited_metrics: frozenset[str] = frozenset(),
        used_metrics: frozenset[str] = frozenset(),
    ) -> PreflightFacts:
        """Everything beside the version itself."""
        serving = None if label is None else state.labels.get(label)
        served = None if serving is None else state.versions.get(serving.version)
        return PreflightFacts(
            agent=state.agent.name,
            label=label,
            version=version.number,
            providers=self._providers.names,
            places=[self._place(provider, version.bundle, recent) for provider in self._providers_for(version.bundle)],
            caps=self._live.current.caps,
            recent=recent,
            replaces_prompt=served is not None and served.bundle.prompt.says_something,
            awaited_metrics=awaited_metrics,
            used_metrics=used_metrics,
            validates_beside=served is None or bool(served.bundle.policy.validators),
            unpriced_beside=None if served is None else self._unpriced(served.bundle),
            judges_schemas=self._judges_schemas,
        )

    def _unpriced(self, bundle: Bundle) -> str | None:
        """The model of a version that serves, where none of its providers has a price for it."""
        name = bundle.model.name
        if name is None or any(self._is_priced(provider, name) for provider in self._providers_for(bundle)):
            return None
        return name

    def _providers_for(self, bundle: Bundle) -> Sequence[Provider]:
        if bundle.model.provider is None:
            return self._providers.defaults
        named = self._providers.named(bundle.model.provider)
        return () if named is None else (named,)

    def _place(self, provider: Provider, bundle: Bundle, recent: RecentCalls) -> Place:
        model = bundle.model.name
        return Place(
            provider=provider.name,
            family=provider.family,
            has_own_key=provider.api_key is not None,
            has_key=provider.api_key is not None or provider in self._providers.defaults,
            is_priced=model is not None and self._is_priced(provider, model),
            is_retired=None if model is None else self._prices.is_retired(provider, model),
            refused_parameters=self._refused(provider, bundle, recent),
        )

    def _is_priced(self, provider: Provider, model: str) -> bool:
        """Whether a price is known of all that a model reads and writes."""
        price = self._prices.price(provider, model)
        return price is not None and missing_output_rate(price) is None

    def _refused(self, provider: Provider, bundle: Bundle, recent: RecentCalls) -> frozenset[str]:
        """What is left out on every wire that recent calls speak, of all the provider's where that is not known."""
        wires = [wire for wire in self._wires if wire.family == provider.family and wire.is_conversation]
        spoken = [wire for wire in wires if wire.name in recent.wires] or wires
        model = bundle.model.name
        if model is None or not spoken:
            return frozenset()
        left_out = [self._left_out(wire, model, bundle) for wire in spoken]
        return left_out[0].intersection(*left_out)

    def _left_out(self, wire: Wire, model: str, bundle: Bundle) -> frozenset[str]:
        call = wire.smallest_call(model)
        variables = dict.fromkeys(bundle.prompt.variables, "x")
        try:
            injection = wire.inject(wire.read(call), InjectionPlan(bundle=bundle, variables=variables))
        except Refusal:
            # A version that cannot be put into this call says nothing of others.
            return frozenset()
        return frozenset(injection.dropped_parameters)
