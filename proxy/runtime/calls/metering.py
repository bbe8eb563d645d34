"""What a call may cost before it is sent, and what it did cost after. No I/O: facts in, amounts out.

Usage reported by the provider is exact. Without it (the client left, the stream broke) a call under a hard cap is charged
its whole hold; an estimate from the bytes seen is shown beside it and flagged.
"""

from typing import Final

from proxy.core.calls.runs import UsageSource
from proxy.core.spending.caps import Cap
from proxy.core.spending.prices import Price, cost_of, hold_cost, missing_rate, missing_write_rate
from proxy.core.spending.usage import Usage, UsageParts, larger_usage
from proxy.runtime.calls.flight import Flight
from proxy.runtime.spending.holding import HoldBound, Spent, Ticket
from proxy.wires.cache_writes import asks_for_an_hour, asks_to_keep
from proxy.wires.wire import AnswerFacts, BilledApart, Injection, RequestFacts, Wire

#: For estimates only: English text has about four bytes a token.
_BYTES_PER_TOKEN: Final = 4

_NOTHING_APART: Final = BilledApart(has_audio=False, web_searches=0)
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
    if injection.unbounded_because is not None:
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=injection.unbounded_because)
    if injection.max_output_tokens is None:
        return HoldBound(nanodollars=None, tokens=None, unbounded_because="nothing bounds the call's output")
    output = injection.max_output_tokens * request.choices
    context_window = None if price is None else price.context_window
    # No model takes more than its context window, and a body with more bytes than that has no lower bound to offer.
    is_longer = context_window is not None and len(injection.body) >= context_window
    visible = None if is_longer else wire.input_tokens_bound(injection)
    bound = context_window if visible is None else visible
    if bound is None:
        because = "its input holds parts the proxy cannot see, and the model's context window is unknown"
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=because)
    is_text = visible is not None
    apart = _NOTHING_APART if is_text else wire.billed_apart(injection)
    if apart.rounds is None:
        because = "nothing bounds how often the provider uses its own tools (set max_tool_calls)"
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=because)
    bound *= apart.rounds
    if price is None:
        because = f"the price of model {injection.model!r} is unknown (add it under `prices` in the settings)"
        return HoldBound(nanodollars=None, tokens=bound + output, unbounded_because=because)
    if apart.web_searches is None:
        because = "nothing bounds its web searches (set max_uses of the tool)"
        return HoldBound(nanodollars=None, tokens=bound + output, unbounded_because=because)
    if apart.unpriced is not None:
        because = f"the fees of {apart.unpriced} are in no price list"
        return HoldBound(nanodollars=None, tokens=bound + output, unbounded_because=because)
    missing = _missing_rate(price, apart, injection.body)
    if missing is not None:
        because = (
            f"the price of {missing} with model {injection.model!r} is unknown (add it under `prices` in the settings)"
        )
        return HoldBound(nanodollars=None, tokens=bound + output, unbounded_because=because)
    searches, file_searches = apart.web_searches * request.choices, apart.file_searches * request.choices
    cost = hold_cost(bound, output, price, is_text=is_text, web_searches=searches, file_searches=file_searches)
    return HoldBound(nanodollars=cost, tokens=bound + output)


def _missing_rate(price: Price, apart: BilledApart, body: bytes) -> str | None:
    if apart is not _NOTHING_APART:
        has_searches, has_file_searches = (apart.web_searches or 0) > 0, apart.file_searches > 0
        missing = missing_rate(
            price,
            has_audio=apart.has_audio,
            has_web_searches=has_searches,
            has_file_searches=has_file_searches,
        )
        if missing is not None:
            return missing
    if missing_write_rate(price, keeps_for_an_hour=True) is None or not asks_to_keep(body):
        return None
    return missing_write_rate(price, keeps_for_an_hour=asks_for_an_hour(body))


def settle(flight: Flight, hold: Ticket, answered_price: Price | None) -> None:
    """Charge a finished 2xx answer, or one that broke off after it began, and note cost and source in the flight."""
    facts = flight.answer_facts
    price = answered_price or flight.price
    flight.price = price
    usage = None if facts is None else facts.usage
    if (
        usage is not None
        and facts is not None
        and _is_counted(usage, facts)
        and (facts.is_complete or flight.result == "ok")
    ):
        _settle_reported(flight, hold, usage, price)
        return
    if facts is not None and facts.is_deferred and usage is None:
        flight.usage_source = "unmetered"
        hold.settle(Spent(settled_by="held"))
        return
    _settle_unknown(flight, hold, price)


def _settle_unknown(flight: Flight, hold: Ticket, price: Price | None) -> None:
    """Charge the whole hold, and what was told of a usage where that is more."""
    told = _told(flight.answer_facts)
    told_cost = 0 if price is None or told is None else cost_of(told, price) or 0
    told_tokens = 0 if told is None else told.input_tokens + told.output_tokens
    flight.estimated_cost_nanodollars = None if price is None else cost_of(_estimate(flight, told), price)
    held = hold.nanodollars
    if held is not None:
        flight.cost_nanodollars, flight.usage_source = max(held, told_cost), "held"
    else:
        flight.cost_nanodollars, flight.usage_source = flight.estimated_cost_nanodollars, "estimated"
    hold.settle(Spent(nanodollars=told_cost, tokens=told_tokens, settled_by="held"))


def _told(facts: AnswerFacts | None) -> Usage | None:
    """What the provider told of a usage, however little that is."""
    if facts is None or facts.usage is None:
        return None if facts is None else facts.told_usage
    return larger_usage(facts.told_usage, facts.usage)


def _is_counted(usage: Usage, facts: AnswerFacts) -> bool:
    """Whether somebody counted: no call is without input, and where text came there was output."""
    return usage.input_tokens > 0 and (usage.output_tokens > 0 or not facts.output_bytes)


def _settle_reported(flight: Flight, hold: Ticket, usage: Usage, price: Price | None) -> None:
    if flight.injection is not None and flight.injection.web_searches and usage.parts is None:
        usage.parts = UsageParts(web_searches=flight.injection.web_searches)
    cost = None if price is None else cost_of(usage, price)
    source: UsageSource = "reported"
    if cost is None and hold.nanodollars is not None:
        # A part of it has no price that could have been known before: never less than what was held, or what the rest costs.
        rest = Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        cost, source = max(hold.nanodollars, 0 if price is None else cost_of(rest, price) or 0), "held"
    flight.cost_nanodollars, flight.usage_source = cost, source
    tokens = usage.input_tokens + usage.output_tokens
    hold.settle(Spent(nanodollars=cost or 0, is_priced=cost is not None, tokens=tokens))


def _estimate(flight: Flight, told: Usage | None) -> Usage:
    """What was told, and by the bytes seen where nothing was."""
    facts = flight.answer_facts
    seen = 0 if facts is None else -(-facts.output_bytes // _BYTES_PER_TOKEN)
    sent = -(-flight.sent_bytes // _BYTES_PER_TOKEN)
    if told is None:
        return Usage(input_tokens=sent, output_tokens=seen)
    return larger_usage(told, Usage(input_tokens=0 if told.input_tokens else sent, output_tokens=seen))
