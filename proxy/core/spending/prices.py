"""What a call costs: prices, exact cost of a usage (usage.py), and the upper bound that is held before it is sent.

Money is integer nano-dollars, rounded up so that the ledger never shows less than the bill. Prices per token are integer
pico-dollars ($1 per million tokens = 1,000,000 pico-dollars per token). A price is one of three things: known, explicitly
free, or unknown (None); unknown is never taken for free.
"""

from dataclasses import dataclass, field
from typing import Final

from proxy.core.spending.usage import Usage, UsageParts

_PICO_PER_NANO: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRates:
    """Pico-dollars of what has a rate of its own, per token, per search and per call; None: the price does not say.

    Pictures that are read and reasoning cost, without a rate, what other tokens of their side cost; audio, pictures that are made
    and searches without one have no price at all, since nowhere they are as cheap as text.
    """

    audio_input: int | None = None
    image_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    reasoning: int | None = None
    web_search: int | None = None
    file_search: int | None = None
    call: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pico-dollars per token, by kind; they hold for calls with at least `from_input_tokens` input tokens.

    A rate of cache writes that is None is not told, and nowhere as low as that of plain input where there is one.
    """

    input: int
    cached: int
    cache_write: int | None
    cache_write_1h: int | None
    output: int
    from_input_tokens: int = 0
    #: None where nothing has a rate of its own.
    parts: PartRates | None = None
    #: Whether the price tells what output costs; False of models that write nothing, and then `output` says nothing.
    has_output: bool = True
    dearest_input: int = field(init=False, compare=False)
    dearest_output: int = field(init=False, compare=False)
    #: Whether a usage without parts costs nothing beside the rates above.
    is_plain: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        dearest = max(self.input, self.cached, self.cache_write or 0, self.cache_write_1h or 0)
        object.__setattr__(self, "dearest_input", dearest)
        parts = self.parts
        reasoning = 0 if parts is None else parts.reasoning or 0
        object.__setattr__(self, "dearest_output", max(self.output, reasoning))
        is_plain = parts is None or (parts.reasoning is None and parts.call == 0)
        object.__setattr__(self, "is_plain", is_plain and self.has_output)


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


_FREE_PARTS: Final = PartRates(audio_input=0, audio_output=0, image_output=0, web_search=0, file_search=0)
FREE: Final = Price("free", (Rates(input=0, cached=0, cache_write=0, cache_write_1h=0, output=0, parts=_FREE_PARTS),))
_NO_PARTS: Final = UsageParts()
_NO_RATES: Final = PartRates()


def cost_of(usage: Usage, price: Price) -> int | None:
    """Exact cost in nano-dollars, rounded up; None where the price has no rate for a part of the usage."""
    rates = price.rates_for(usage.input_tokens)
    if usage.parts is not None or not rates.is_plain:
        return _cost_with_parts(usage, usage.parts or _NO_PARTS, rates, rates.parts or _NO_RATES)
    cached, written, writes = usage.cached_tokens, usage.cache_write_tokens, 0
    if written:
        long_writes = min(usage.cache_write_1h_tokens, written)
        if _lacks_write_rate(rates, written - long_writes, long_writes):
            return None
        writes = (written - long_writes) * (rates.cache_write or 0) + long_writes * (rates.cache_write_1h or 0)
    plain = max(0, usage.input_tokens - cached - written)
    return _nano(plain * rates.input + cached * rates.cached + writes + usage.output_tokens * rates.output)


def _cost_with_parts(usage: Usage, parts: UsageParts, rates: Rates, special: PartRates) -> int | None:
    """As `cost_of`. Where it is not told which tokens were cached, the dear ones were not."""
    audio_in = min(parts.audio_input_tokens, usage.input_tokens)
    image_in = min(parts.image_input_tokens, usage.input_tokens - audio_in)
    text_in = usage.input_tokens - audio_in - image_in
    cached = min(usage.cached_tokens, text_in)
    written = min(usage.cache_write_tokens, text_in - cached)
    long_writes = min(usage.cache_write_1h_tokens, written)
    audio_out = min(parts.audio_output_tokens, usage.output_tokens)
    image_out = min(parts.image_output_tokens, usage.output_tokens - audio_out)
    reasoning = min(usage.reasoning_tokens, usage.output_tokens - audio_out - image_out)
    text_out = usage.output_tokens - audio_out - image_out - reasoning
    if (
        (audio_in and special.audio_input is None)
        or (audio_out and special.audio_output is None)
        or (image_out and special.image_output is None)
        or (parts.web_searches and special.web_search is None)
        or (parts.file_searches and special.file_search is None)
        or parts.unpriced_calls
        or (usage.output_tokens and not rates.has_output)
        or _lacks_write_rate(rates, written - long_writes, long_writes)
    ):
        return None
    pico = (
        (text_in - cached - written) * rates.input
        + cached * rates.cached
        + (written - long_writes) * (rates.cache_write or 0)
        + long_writes * (rates.cache_write_1h or 0)
        + audio_in * (special.audio_input or 0)
        + image_in * _given(special.image_input, rates.input)
        + text_out * rates.output
        + audio_out * (special.audio_output or 0)
        + image_out * (special.image_output or 0)
        + reasoning * _given(special.reasoning, rates.output)
        + parts.web_searches * (special.web_search or 0)
        + parts.file_searches * (special.file_search or 0)
        + special.call
    )
    return _nano(pico)


def hold_cost(
    input_tokens_bound: int,
    output_tokens_bound: int,
    price: Price,
    *,
    is_text: bool = True,
    web_searches: int = 0,
    file_searches: int = 0,
) -> int:
    """Upper bound of what the call can cost, in nano-dollars: dearest price of any reachable tier.

    `is_text`: neither input nor output is anything else. `web_searches`, `file_searches`: the most that it makes.
    """
    dearest_input = dearest_output = beside = 0
    for rates in price.tiers:
        if rates.from_input_tokens <= input_tokens_bound or rates is price.tiers[0]:
            special = rates.parts
            dearest_input = max(dearest_input, rates.dearest_input)
            dearest_output = max(dearest_output, rates.dearest_output)
            if special is None:
                continue
            if web_searches or file_searches or special.call:
                searches = web_searches * (special.web_search or 0) + file_searches * (special.file_search or 0)
                beside = max(beside, special.call + searches)
            if not is_text:
                dearest_input = max(dearest_input, special.audio_input or 0, special.image_input or 0)
                dearest_output = max(dearest_output, special.audio_output or 0, special.image_output or 0)
    return _nano(input_tokens_bound * dearest_input + output_tokens_bound * dearest_output + beside)


def missing_rate(
    price: Price, *, has_audio: bool, has_web_searches: bool, has_file_searches: bool = False
) -> str | None:
    """What of a call with these the price has no rate for; None where it has all."""
    for rates in price.tiers:
        special = rates.parts or _NO_RATES
        if has_audio and (special.audio_input is None or special.audio_output is None):
            return "audio"
        if has_web_searches and special.web_search is None:
            return "web searches"
        if has_file_searches and special.file_search is None:
            return "file searches"
    return None


def missing_output_rate(price: Price) -> str | None:
    """`output` where the price has no rate for what is written; None where it has one."""
    return None if price.tiers[0].has_output else "output"


def missing_write_rate(price: Price, *, keeps_for_an_hour: bool) -> str | None:
    """What of writing to the cache the price has no rate for; None where it has all."""
    for rates in price.tiers:
        if rates.cache_write is None:
            return "cache writes"
        if keeps_for_an_hour and rates.cache_write_1h is None:
            return "cache writes for an hour"
    return None


def _lacks_write_rate(rates: Rates, short_writes: int, long_writes: int) -> bool:
    return (short_writes > 0 and rates.cache_write is None) or (long_writes > 0 and rates.cache_write_1h is None)


def _given(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


def _nano(pico: int) -> int:
    return -(-pico // _PICO_PER_NANO)
