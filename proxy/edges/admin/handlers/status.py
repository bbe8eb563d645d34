"""Handlers: the process's status, and what a model costs."""

from typing import get_args

from proxy.core.compiled import IS_COMPILED
from proxy.core.errors import BadInput, NotFound
from proxy.core.spending.shown_price import PriceDocument, price_document
from proxy.core.wrong_values import nearest_of
from proxy.edges.admin.answers.process import ProcessStatus
from proxy.edges.admin.parts import AdminParts, Answer, Ask
from proxy.edges.admin.queries import PriceQuery
from proxy.runtime.providers import Provider, Providers
from proxy.wires.wire import WireFamily


async def get_status(parts: AdminParts, ask: Ask) -> Answer[ProcessStatus]:
    snapshot, now = parts.live.current, parts.clock.now_microseconds()
    away = parts.standby.presence.problem
    problem = None if away is None else away.message
    return Answer(
        {
            "version": parts.version,
            "compiled": IS_COMPILED,
            "draining": parts.is_draining(),
            "revision": snapshot.revision,
            "agents": len(snapshot.agents),
            "switches": sum(switch.is_active(now) for switch in snapshot.switches),
            "caps": len(snapshot.caps),
            "runs_in_flight": parts.request_path.in_flight,
            "holds_outstanding": parts.ledger.holds_outstanding,
            "recorder": {"queued": parts.recorder.queue_length, "dropped": parts.recorder.dropped},
            "workers": [] if parts.workers is None else parts.workers.document(),
            "admin": {"warning": parts.admin_warning},
            "store": {**await parts.store.diagnostics(), "up": problem is None, "problem": problem},
            **parts.standby.status(),
        }
    )


async def get_price(parts: AdminParts, ask: Ask) -> Answer[PriceDocument]:
    query = ask.query_as(PriceQuery)
    provider = _provider(parts.providers, query.provider)
    return Answer(price_document(provider.name, query.model, parts.prices.price(provider, query.model)))


def _provider(providers: Providers, name: str) -> Provider:
    """The provider a version that names it would get, whichever family it speaks."""
    for family in get_args(WireFamily):
        try:
            return providers.choose(name, family)
        except BadInput as refusal:
            if refusal.code not in ("wire_mismatch", "provider_not_configured"):
                raise
    near = nearest_of(name, providers.names)
    raise NotFound("provider_not_configured", f"no provider {name!r} is in the settings{near}", param="provider")
