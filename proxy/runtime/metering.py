"""What a call may cost before it is sent, and what it did cost after. No I/O: facts in, amounts out.

Usage reported by the provider is exact. Without it (the client left, the stream broke) a call under a hard cap is charged
its whole hold; an estimate from the bytes seen is shown beside it and flagged.
"""

from typing import Final

from proxy.core.caps import Cap
from proxy.core.spend import Price, cost_of, hold_cost
from proxy.core.usage import Usage
from proxy.runtime.flight import Flight
from proxy.runtime.holding import HoldBound, Spent, Ticket
from proxy.wires.wire import Injection, RequestFacts, Wire

#: For estimates only: English text has about four bytes a token.
_BYTES_PER_TOKEN: Final = 4

_BOUNDED_UNITS: Final = frozenset({"usd", "tokens"})
UNMETERED: Final = HoldBound(nanodollars=None, tokens=None, unbounded_because="the proxy cannot meter this path")


def needs_ceiling(caps: tuple[Cap, ...]) -> bool:
    """Whether a hard cap makes an output bound necessary."""
    for cap in caps:  # noqa: SIM110 a loop costs half of any() on the path of every call
        if cap.unit in _BOUNDED_UNITS and cap.is_hard:
            return True
    return False


def needs_bound(caps: tuple[Cap, ...]) -> bool:
    """Whether a cap counts what has to be bounded first."""
    for cap in caps:  # noqa: SIM110 as above
        if cap.unit in _BOUNDED_UNITS:
            return True
    return False


def hold_bound(wire: Wire, request: RequestFacts, injection: Injection, price: Price | None) -> HoldBound:
    """The most this call can use."""
    if injection.max_output_tokens is None:
        return HoldBound(nanodollars=None, tokens=None, unbounded_because="nothing bounds the call's output")
    output = injection.max_output_tokens * request.choices
    context_window = None if price is None else price.context_window
    visible = wire.input_tokens_bound(injection)
    bound = context_window if visible is None else visible
    if bound is None:
        because = "its input holds parts the proxy cannot see, and the model's context window is unknown"
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=because)
    if price is None:
        because = f"the price of model {injection.model!r} is unknown (add it under `prices` in the settings)"
        return HoldBound(nanodollars=None, tokens=bound + output, unbounded_because=because)
    return HoldBound(nanodollars=hold_cost(bound, output, price), tokens=bound + output)


def settle(flight: Flight, hold: Ticket, answered_price: Price | None) -> None:
    """Charge a finished 2xx answer, or one that broke off after it began, and note cost and source in the flight."""
    facts = flight.answer_facts
    price = answered_price or flight.price
    flight.price = price
    usage = None if facts is None else facts.usage
    if usage is not None and (facts is None or facts.is_complete or flight.outcome == "ok"):
        _settle_reported(flight, hold, usage, price)
        return
    estimate = _estimate(flight)
    flight.estimated_cost_nanodollars = None if price is None else cost_of(estimate, price)
    held = hold.nanodollars
    if held is not None:
        flight.cost_nanodollars, flight.usage_source = held, "held"
    else:
        flight.cost_nanodollars, flight.usage_source = flight.estimated_cost_nanodollars, "estimated"
    hold.settle(Spent(settled_by="held"))


def _settle_reported(flight: Flight, hold: Ticket, usage: Usage, price: Price | None) -> None:
    cost = None if price is None else cost_of(usage, price)
    flight.cost_nanodollars, flight.usage_source = cost, "reported"
    hold.settle(Spent(nanodollars=cost or 0, tokens=usage.input_tokens + usage.output_tokens))


def _estimate(flight: Flight) -> Usage:
    facts = flight.answer_facts
    seen = 0 if facts is None else facts.output_bytes
    reported = None if facts is None else facts.usage
    input_tokens = -(-flight.sent_bytes // _BYTES_PER_TOKEN) if reported is None else reported.input_tokens
    return Usage(input_tokens=input_tokens, output_tokens=-(-seen // _BYTES_PER_TOKEN))
