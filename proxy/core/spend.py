"""What a call costs: prices, exact cost of a usage (usage.py), and the upper bound that is held before it is sent.

Money is integer nano-dollars, rounded up so that the ledger never shows less than the bill. Prices per token are integer
pico-dollars ($1 per million tokens = 1,000,000 pico-dollars per token). A price is one of three things: known, explicitly
free, or unknown (None); unknown is never taken for free.
"""

from dataclasses import dataclass, field
from typing import Final

from proxy.core.usage import Usage

_PICO_PER_NANO: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pico-dollars per token, by kind; they hold for calls with at least `from_input_tokens` input tokens."""

    input: int
    cached: int
    cache_write: int
    cache_write_1h: int
    output: int
    from_input_tokens: int = 0
    dearest_input: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        dearest = max(self.input, self.cached, self.cache_write, self.cache_write_1h)
        object.__setattr__(self, "dearest_input", dearest)


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs: rates by size of the input (ascending), and an id that names the source of the price."""

    id: str
    tiers: tuple[Rates, ...]
    context_window: int | None = None

    def rates_for(self, input_tokens: int) -> Rates:
        """The tier whose threshold the input has reached."""
        found = self.tiers[0]
        for rates in self.tiers:
            if input_tokens >= rates.from_input_tokens:
                found = rates
        return found


FREE: Final = Price("free", (Rates(input=0, cached=0, cache_write=0, cache_write_1h=0, output=0),))


def cost_of(usage: Usage, price: Price) -> int:
    """Exact cost in nano-dollars, rounded up."""
    rates = price.rates_for(usage.input_tokens)
    long_writes = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    plain = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
    pico = (
        plain * rates.input
        + usage.cached_tokens * rates.cached
        + (usage.cache_write_tokens - long_writes) * rates.cache_write
        + long_writes * rates.cache_write_1h
        + usage.output_tokens * rates.output
    )
    return _nano(pico)


def hold_cost(input_tokens_bound: int, output_tokens_bound: int, price: Price) -> int:
    """Upper bound of what the call can cost, in nano-dollars: dearest input price of any reachable tier."""
    dearest_input = dearest_output = 0
    for rates in price.tiers:
        if rates.from_input_tokens <= input_tokens_bound or rates is price.tiers[0]:
            dearest_input = max(dearest_input, rates.dearest_input)
            dearest_output = max(dearest_output, rates.output)
    return _nano(input_tokens_bound * dearest_input + output_tokens_bound * dearest_output)


def _nano(pico: int) -> int:
    return -(-pico // _PICO_PER_NANO)
