"""What a call may cost before it is sent, and what it did cost after. No I/O: facts in, amounts out.

Usage reported by the provider is exact. Without it (the client left, the stream broke) a call under a hard cap is charged
its whole hold; an estimate from the bytes seen is shown beside it and flagged.
"""

from typing import Final

from proxy.core.calls.runs import UsageSource
from proxy.core.spending.prices import (
    Price,
    cost_of,
    hold_cost,
    missing_output_rate,
    missing_rate,
    missing_write_rate,
)
from proxy.core.spending.usage import Usage, UsageParts, larger_usage
from proxy.runtime.calls.stages import UNMETERED_CHARGE, AttemptUnderWay, Charge
from proxy.runtime.spending.holding import HoldBound, Spent, Ticket
from proxy.runtime.spending.prices import PriceBook
from proxy.wires.cache_writes import asks_for_an_hour, asks_to_keep
from proxy.wires.wire import AnswerFacts, Injection, Operation, RequestFacts, Wire

#: For estimates only: English text has about four bytes a token.
_BYTES_PER_TOKEN: Final = 4

#: Where the cost was told there is no price, but what told it has a name.
_TOLD_PRICE: Final = Price("provider:usage.cost", ())

UNMETERED: Final = HoldBound(nanodollars=None, tokens=None, unbounded_because="the proxy cannot meter this path")


def hold_bound(wire: Wire, request: RequestFacts, injection: Injection, price: Price | None) -> HoldBound:
    """The most this call can use."""
    if injection.unbounded_because is not None:
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=injection.unbounded_because)
    if injection.max_output_tokens is None:
        return HoldBound(nanodollars=None, tokens=None, unbounded_because="nothing bounds the call's output")
    output = injection.max_output_tokens * request.choices
    context_window = None if price is None else price.context_window
    # No model takes more than its context window, and a body with more bytes than that has no lower bound to offer.
    is_longer = context_window is not None and len(injection.body) >= context_window and wire.is_conversation
    bound = None if is_longer else wire.input_tokens_bound(injection)
    if bound is None:
        return _bound_beyond_text(wire, request, injection, price, output)
    if price is None:
        because = f"the price of model {injection.model!r} is unknown (add it under `prices` in the settings)"
        return _without_price(bound + output, because)
    missing = missing_output_rate(price) if output else None
    missing = missing or _missing_write_rate(price, injection.body)
    if missing is not None:
        return _without_price(bound + output, _missing_rate(injection, missing))
    return HoldBound(nanodollars=hold_cost(bound, output, price), tokens=bound + output)


def _bound_beyond_text(
    wire: Wire, request: RequestFacts, injection: Injection, price: Price | None, output: int
) -> HoldBound:
    """As `hold_bound`, of a call that holds more than text, or that nobody looks through."""
    if not wire.is_conversation:
        # Each of its inputs may fill a context window.
        because = "its input holds parts the proxy cannot see"
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=because)
    if price is None or price.context_window is None:
        because = "its input holds parts the proxy cannot see, and the model's context window is unknown"
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=because)
    apart = wire.billed_apart(injection)
    if apart.rounds is None:
        because = "nothing bounds how often the provider uses its own tools (set max_tool_calls)"
        return HoldBound(nanodollars=None, tokens=None, unbounded_because=because)
    bound = price.context_window * apart.rounds
    tokens = bound + output
    if apart.web_searches is None:
        return _without_price(tokens, "nothing bounds its web searches (set max_uses of the tool)")
    if apart.unpriced is not None:
        return _without_price(tokens, f"the fees of {apart.unpriced} are in no price list")
    missing = missing_rate(
        price,
        has_audio=apart.has_audio,
        has_web_searches=apart.web_searches > 0,
        has_file_searches=apart.file_searches > 0,
    )
    missing = missing or missing_output_rate(price) or _missing_write_rate(price, injection.body)
    if missing is not None:
        return _without_price(tokens, _missing_rate(injection, missing))
    searches, file_searches = apart.web_searches * request.choices, apart.file_searches * request.choices
    cost = hold_cost(bound, output, price, is_text=False, web_searches=searches, file_searches=file_searches)
    return HoldBound(nanodollars=cost, tokens=tokens)


def _without_price(tokens: int, because: str) -> HoldBound:
    return HoldBound(nanodollars=None, tokens=tokens, unbounded_because=because)


def _missing_rate(injection: Injection, missing: str) -> str:
    return f"the price of {missing} with model {injection.model!r} is unknown (add it under `prices` in the settings)"


def _missing_write_rate(price: Price, body: bytes) -> str | None:
    if missing_write_rate(price, keeps_for_an_hour=True) is None or not asks_to_keep(body):
        return None
    return missing_write_rate(price, keeps_for_an_hour=asks_for_an_hour(body))


def charge_of(
    attempt: AttemptUnderWay, operation: Operation, prices: PriceBook, *, ended_well: bool
) -> tuple[Charge | None, Spent | None]:
    """What an attempt cost that is over, and what its hold is settled with. None: nothing, and the hold closes as it was sent or not."""
    answer, answered, sendable = attempt.answer, attempt.answered, attempt.sendable
    facts, injection = None if answered is None else answered.facts, sendable.injection
    if answer is not None and (answer.status >= 300 or (facts is not None and facts.is_bare_error)):
        # Providers do not bill a call they redirect, refuse or fail before it began, whatever status they say it with.
        return None, Spent()
    if not attempt.hold.sent:
        return None, None
    if operation.is_metered and not operation.is_billable:
        return None, Spent()  # a count of tokens
    if not operation.is_metered or injection is None:
        return (UNMETERED_CHARGE if operation.is_billable else None), None
    price, hold = sendable.price, attempt.hold
    if facts is not None:
        # What is served decides, not what was asked.
        tier = injection.service_tier if facts.service_tier is None else facts.service_tier
        price = prices.served_price(sendable.provider, injection.model, facts.model, tier) or price
        usage = facts.usage
        if usage is not None and _is_counted(usage, facts, operation) and (facts.is_complete or ended_well):
            if usage.parts is not None and usage.parts.told_nanodollars and sendable.provider.dialect.tells_cost:
                return _told_by_the_provider(usage, usage.parts.told_nanodollars)
            return _reported(usage, price, injection, hold)
        if facts.is_deferred and usage is None:
            return Charge("unmetered", price), Spent(settled_by="held")
    return _unknown(facts, attempt.sent_bytes, price, hold.nanodollars, operation)


def _unknown(
    facts: AnswerFacts | None, sent_bytes: int, price: Price | None, held: int | None, operation: Operation
) -> tuple[Charge, Spent]:
    """The whole hold, and what was told of a usage where that is more."""
    told = _told(facts)
    told_cost = 0 if price is None or told is None else cost_of(told, price) or 0
    told_tokens = 0 if told is None else told.input_tokens + told.output_tokens
    spent = Spent(nanodollars=told_cost, tokens=told_tokens, settled_by="held")
    estimated = None if price is None else cost_of(_estimate(facts, sent_bytes, told, operation), price)
    if held is None:
        return Charge("estimated", price, estimated, estimated), spent
    return Charge("held", price, max(held, told_cost), estimated), spent


def _reported(usage: Usage, price: Price | None, injection: Injection, hold: Ticket) -> tuple[Charge, Spent]:
    if injection.web_searches and usage.parts is None:
        usage.parts = UsageParts(web_searches=injection.web_searches)
    cost = None if price is None else cost_of(usage, price)
    source: UsageSource = "reported"
    if cost is None and (held := hold.nanodollars) is not None:
        # A part of it has no price that could have been known before: never less than what was held, or what the rest costs.
        rest = Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        cost, source = max(held, 0 if price is None else cost_of(rest, price) or 0), "held"
    tokens = usage.input_tokens + usage.output_tokens
    return Charge(source, price, cost), Spent(nanodollars=cost or 0, is_priced=cost is not None, tokens=tokens)


def _told_by_the_provider(usage: Usage, nanodollars: int) -> tuple[Charge, Spent]:
    """What the provider says the call is billed goes before any price list, and stands in where none knows the model."""
    tokens = usage.input_tokens + usage.output_tokens
    return Charge("reported", _TOLD_PRICE, nanodollars), Spent(nanodollars=nanodollars, is_priced=True, tokens=tokens)


def _told(facts: AnswerFacts | None) -> Usage | None:
    """What the provider told of a usage, however little that is."""
    if facts is None or facts.usage is None:
        return None if facts is None else facts.told_usage
    return larger_usage(facts.told_usage, facts.usage)


def _is_counted(usage: Usage, facts: AnswerFacts, operation: Operation) -> bool:
    """Whether somebody counted: no call is without input, and where text came there was output."""
    is_read = usage.input_tokens > 0
    return is_read and (usage.output_tokens > 0 or not facts.output_bytes or not operation.has_output)


def _estimate(facts: AnswerFacts | None, sent_bytes: int, told: Usage | None, operation: Operation) -> Usage:
    """What was told, and by the bytes seen where nothing was."""
    seen = 0 if facts is None or not operation.has_output else -(-facts.output_bytes // _BYTES_PER_TOKEN)
    sent = -(-sent_bytes // _BYTES_PER_TOKEN)
    if told is None:
        return Usage(input_tokens=sent, output_tokens=seen)
    return larger_usage(told, Usage(input_tokens=0 if told.input_tokens else sent, output_tokens=seen))
