"""A price as people read it: dollars per million tokens, by size of the input."""

from typing import Literal, TypedDict

from proxy.core.shapes import Count, Usd
from proxy.core.spending.prices import Price, Rates


class RatesDocument(TypedDict):
    """What a call costs whose input has that many tokens or more, dollars per million tokens."""

    from_input_tokens: Count
    input: Usd
    cached: Usd
    #: Null: the price does not say.
    cache_write: Usd | None
    cache_write_1h: Usd | None
    output: Usd | None


class PriceDocument(TypedDict):
    """What a model costs. State `unknown` is never free."""

    provider: str
    model: str
    state: Literal["unknown", "free", "priced"]
    price_id: str | None
    context_window: Count | None
    usd_per_million_tokens: list[RatesDocument]


def price_document(provider: str, model: str, price: Price | None) -> PriceDocument:
    """What a model costs, dollars per million tokens by size of the input; state `unknown` is never free."""
    tiers = () if price is None else price.tiers
    is_free = all(rates.dearest_input == 0 and rates.output == 0 and rates.has_output for rates in tiers)
    return {
        "provider": provider,
        "model": model,
        "state": "unknown" if price is None else "free" if is_free else "priced",
        "price_id": None if price is None else price.id,
        "context_window": None if price is None else price.context_window,
        "usd_per_million_tokens": [_rates_document(rates) for rates in tiers],
    }


def _rates_document(rates: Rates) -> RatesDocument:
    return {
        "from_input_tokens": rates.from_input_tokens,
        "input": rates.input / 1e6,
        "cached": rates.cached / 1e6,
        "cache_write": None if rates.cache_write is None else rates.cache_write / 1e6,
        "cache_write_1h": None if rates.cache_write_1h is None else rates.cache_write_1h / 1e6,
        "output": rates.output / 1e6 if rates.has_output else None,
    }
