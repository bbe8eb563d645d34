"""What models cost: a maintained price library plus the operator's overrides, as core prices, cached.

Three answers, never mixed up: a price, explicitly free (an override says so), or None for unknown. The library is asked
once per model and hour; prices that change by date or time of day take effect at the next hour.

Decision: the library's own calculation costs 50-70 µs a call; its rates as integers cost under 1 µs and give the same sum.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from proxy.core.model_names import means_model
from proxy.core.spending.prices import PartRates, Price, Rates
from proxy.runtime.process.clock import Clock
from proxy.runtime.providers import Provider

_HOUR_MICROSECONDS: Final = 3_600_000_000
_PICO_PER_DOLLAR_PER_MTOK: Final = 1_000_000
_PICO_PER_DOLLAR_PER_THOUSAND: Final = 1_000_000_000
#: What providers call the ordinary price.
_ORDINARY_TIERS: Final = frozenset({"auto", "default", "standard", "standard_only"})
_MAX_CACHED: Final = 4096
_UNSEEN: Final = Price("unseen", ())
#: What the library calls the members of a request that choose another price.
_TIER_KEYS: Final = ("service_tier", "speed")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_library() -> None:
    """Have the library's data in memory, which takes 15 to 30 ms where it is asked first: no call is to wait for that."""
    data_snapshot.get_snapshot()


class PriceBook:
    """Prices by provider, model and service tier."""

    def __init__(self, overrides: Mapping[str, Price], clock: Clock) -> None:
        """`overrides` by `provider/model`; they win over the library."""
        self._overrides = overrides
        self._clock = clock
        self._cache: dict[tuple[str, str, str | None], Price | None] = {}
        self._cached_hour = -1
        read_library()

    def price(self, provider: Provider, model: str | None, service_tier: str | None = None) -> Price | None:
        """The price of a model at a provider, None where nobody knows it."""
        if model is None:
            return None
        if service_tier is not None and service_tier in _ORDINARY_TIERS:
            service_tier = None
        hour = self._clock.now_microseconds() // _HOUR_MICROSECONDS
        if hour != self._cached_hour:
            self._cache.clear()
            self._cached_hour = hour
        key = (provider.name, model, service_tier)
        price = self._cache.get(key, _UNSEEN)
        if price is _UNSEEN:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            price = self._cache[key] = self._find(provider, model, service_tier, hour)
        return price

    def served_price(
        self, provider: Provider, asked: str | None, answered: str | None, service_tier: str | None
    ) -> Price | None:
        """The price of the model that answered. An issue of the one that was asked costs what the settings say of that one, unless
        they say something of the issue itself."""
        if answered is not None and asked is not None and answered != asked and self._overrides:
            own, of_asked = (f"{provider.name}/{model}" for model in (answered, asked))
            is_issue = of_asked in self._overrides and own not in self._overrides
            if is_issue and means_model(asked, provider.name, answered):
                answered = asked
        return self.price(provider, answered, service_tier)

    def knows(self, providers: Iterable[Provider], named: str) -> bool:
        """Whether a price list names the model that a scope means so: with its provider or without, dated, in any case."""
        if any(means_model(named, *key.split("/", 1)) for key in self._overrides):
            return True
        bare = named.lower()
        return any(
            _library_model(provider, bare.removeprefix(f"{provider.name.lower()}/")) is not None
            for provider in providers
        )

    def is_retired(self, provider: Provider, model: str) -> bool | None:
        """Whether the library says that a model is offered no more; None where it does not know the model."""
        found = _library_model(provider, model)
        return None if found is None else found.deprecated is True

    def _find(self, provider: Provider, model: str, service_tier: str | None, hour: int) -> Price | None:
        override = self._overrides.get(f"{provider.name}/{model}")
        if override is not None:
            return override
        found = _library_model(provider, model)
        if found is None:
            return None
        if service_tier is not None and service_tier not in _tiers(found):
            return None
        when = _EPOCH + timedelta(hours=hour)
        context: dict[str, Any] | None = dict.fromkeys(_TIER_KEYS, service_tier) if service_tier else None
        return _as_price(found, found.get_prices(when, context))


def override_price(
    name: str,
    *,
    input_mtok: Decimal,
    output_mtok: Decimal,
    cached_mtok: Decimal | None = None,
    cache_write_mtok: Decimal | None = None,
    cache_write_1h_mtok: Decimal | None = None,
    audio_input_mtok: Decimal | None = None,
    audio_output_mtok: Decimal | None = None,
    image_output_mtok: Decimal | None = None,
    web_search_thousand: Decimal | None = None,
    file_search_thousand: Decimal | None = None,
    context_window: int | None = None,
) -> Price:
    """A price from settings, dollars per million tokens or thousand searches. Without a price of its own what was cached costs as
    much as other input; whatever else has none has no price."""
    rates = Rates(
        input=_pico(input_mtok),
        cached=_pico(input_mtok if cached_mtok is None else cached_mtok),
        cache_write=_pico_or_none(cache_write_mtok),
        cache_write_1h=_pico_or_none(cache_write_1h_mtok),
        output=_pico(output_mtok),
        parts=_told(
            PartRates(
                audio_input=_pico_or_none(audio_input_mtok),
                audio_output=_pico_or_none(audio_output_mtok),
                image_output=_pico_or_none(image_output_mtok),
                web_search=_pico_each_or_none(web_search_thousand),
                file_search=_pico_each_or_none(file_search_thousand),
            )
        ),
    )
    return Price(f"settings:{name}", (rates,), context_window)


def _tiers(model: ModelInfo) -> set[str]:
    """The tiers and speeds of a model that have a price of their own."""
    return {
        str(variant.when[key]) for variant in model.price_variants or () for key in _TIER_KEYS if key in variant.when
    }


def _library_model(provider: Provider, model: str) -> ModelInfo | None:
    snapshot = data_snapshot.get_snapshot()
    for name, url in ((provider.name, None), (None, provider.base_url)):
        try:
            return snapshot.find_provider_model(model, None, name, url)[1]
        except LookupError:
            continue
    return None


def _as_price(model: ModelInfo, prices: ModelPrice) -> Price | None:
    values: dict[str, Decimal | TieredPrices | None] = prices.__dict__
    if values.get("input_mtok") is None:
        return None
    starts = {0}
    for value in values.values():
        if isinstance(value, TieredPrices):
            # The library's tiers begin above their start.
            starts.update(int(tier.start) + 1 for tier in value.tiers)
    tiers = tuple(_rates(values, start) for start in sorted(starts))
    return Price(f"genai-prices:{model.id}", tiers, model.context_window)


def _rates(values: Mapping[str, Decimal | TieredPrices | None], from_input_tokens: int) -> Rates:
    def dollars(key: str) -> Decimal | None:
        value = values.get(key)
        if isinstance(value, TieredPrices):
            reached = [tier.price for tier in value.tiers if tier.start < from_input_tokens]
            return reached[-1] if reached else value.base
        return value

    def told(key: str) -> int | None:
        return _pico_or_none(dollars(key))

    plain, cached, write, write_1h = map(
        told, ("input_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")
    )
    plain = plain or 0
    if write is None:
        # Where the library has no rate for it, writing costs what reading costs; it tells the surcharges that there are.
        write = plain
        write_1h = plain if write_1h is None else write_1h
    special = PartRates(
        audio_input=told("input_audio_mtok"),
        image_input=told("input_image_mtok"),
        audio_output=told("output_audio_mtok"),
        image_output=told("output_image_mtok"),
        reasoning=told("output_reasoning_mtok"),
        web_search=_pico_each_or_none(dollars("web_searches_kcount")),
        file_search=_pico_each_or_none(dollars("storage_searches_kcount")),
        call=_pico_each(dollars("requests_kcount") or Decimal(0)),
    )
    return Rates(
        input=plain,
        cached=plain if cached is None else cached,
        cache_write=write,
        cache_write_1h=write_1h,
        output=told("output_mtok") or 0,
        from_input_tokens=from_input_tokens,
        parts=_told(special),
        has_output=values.get("output_mtok") is not None,
    )


def _told(parts: PartRates) -> PartRates | None:
    """None where nothing has a rate of its own."""
    return None if parts == PartRates() else parts


def _pico(dollars_per_mtok: Decimal) -> int:
    return int(dollars_per_mtok * _PICO_PER_DOLLAR_PER_MTOK)


def _pico_or_none(dollars_per_mtok: Decimal | None) -> int | None:
    return None if dollars_per_mtok is None else _pico(dollars_per_mtok)


def _pico_each_or_none(dollars_per_thousand: Decimal | None) -> int | None:
    return None if dollars_per_thousand is None else _pico_each(dollars_per_thousand)


def _pico_each(dollars_per_thousand: Decimal) -> int:
    return int(dollars_per_thousand * _PICO_PER_DOLLAR_PER_THOUSAND)
