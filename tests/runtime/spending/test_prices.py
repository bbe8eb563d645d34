"""Prices as integers give the same sum as the library they come from; unknown is never free."""

import subprocess
import sys
from decimal import Decimal

import pytest
from genai_prices import Usage as LibraryUsage
from genai_prices import calc_price

from proxy.core.spending.prices import FREE, cost_of, missing_rate
from proxy.core.spending.usage import Usage, UsageParts
from proxy.runtime.process.clock import SystemClock
from proxy.runtime.providers import Provider
from proxy.runtime.spending.prices import PriceBook, override_price

OPENAI = Provider(name="openai", family="openai", base_url="https://api.openai.com")
ANTHROPIC = Provider(name="anthropic", family="anthropic", base_url="https://api.anthropic.com")
ELSEWHERE = Provider(name="my-host", family="openai", base_url="https://llm.example.test")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (OPENAI, "gpt-4o-mini"),
        (OPENAI, "gpt-5.6"),
        (OPENAI, "gpt-4o-mini-2024-07-18"),
        (ANTHROPIC, "claude-sonnet-4-5"),
        (ANTHROPIC, "claude-opus-4-7"),
    ],
)
@pytest.mark.parametrize("input_tokens", [10, 200_000, 200_001, 300_000])
def test_the_cost_is_what_the_library_says(provider: Provider, model: str, input_tokens: int) -> None:
    price = PriceBook({}, SystemClock()).price(provider, model)
    assert price is not None
    usage = Usage(input_tokens=input_tokens, cached_tokens=4, cache_write_tokens=2, output_tokens=77)
    library = calc_price(
        LibraryUsage(input_tokens=input_tokens, cache_read_tokens=4, cache_write_tokens=2, output_tokens=77),
        model,
        provider_id=provider.name,
    )
    exact = library.total_price * 1_000_000_000
    assert 0 <= cost_of(usage, price) - exact < 1


def test_a_model_nobody_knows_has_no_price_and_a_host_nobody_knows_has_none_either() -> None:
    book = PriceBook({}, SystemClock())
    assert book.price(OPENAI, "ft:gpt-4o-mini:acme::1") is None
    assert book.price(ELSEWHERE, "gpt-4o-mini") is None
    assert book.price(OPENAI, None) is None


def test_an_override_wins_and_free_is_a_price() -> None:
    own = override_price("my-host/llama", input_mtok=Decimal("0.0375"), output_mtok=Decimal(2))
    book = PriceBook({"my-host/llama": own, "openai/gpt-4o-mini": FREE}, SystemClock())
    assert book.price(ELSEWHERE, "llama") is own
    assert cost_of(Usage(input_tokens=2, output_tokens=1), own) == 75 + 2000
    assert book.price(OPENAI, "gpt-4o-mini") is FREE


def test_an_issue_of_a_model_costs_what_the_settings_say_of_the_model() -> None:
    own = override_price("openai/gpt-4o", input_mtok=Decimal(100), output_mtok=Decimal(100))
    issue = override_price("openai/gpt-4o-2024-05-13", input_mtok=Decimal(9), output_mtok=Decimal(9))
    book = PriceBook({"openai/gpt-4o": own, "openai/gpt-4o-2024-05-13": issue}, SystemClock())
    assert book.served_price(OPENAI, "gpt-4o", "gpt-4o-2024-08-06", None) is own
    assert book.served_price(OPENAI, "gpt-4o", "gpt-4o-2024-05-13", None) is issue
    assert book.served_price(OPENAI, "gpt-4o", "gpt-4o", None) is own
    library = book.price(OPENAI, "gpt-4o-mini")
    assert book.served_price(OPENAI, "gpt-4o", "gpt-4o-mini", None) is library
    assert book.served_price(OPENAI, None, "gpt-4o-mini", None) is library
    assert book.served_price(OPENAI, "gpt-4o", None, None) is None


def test_a_dearer_service_tier_has_its_own_price() -> None:
    book = PriceBook({}, SystemClock())
    plain, priority = book.price(OPENAI, "gpt-5.6"), book.price(OPENAI, "gpt-5.6", "priority")
    assert plain is not None
    assert priority is not None
    assert priority.tiers[0].output > plain.tiers[0].output


_NOTHING_NEW_IS_LOADED = """
import sys
from proxy.runtime.process.clock import SystemClock
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.providers import Provider
openai = Provider(name="openai", family="openai", base_url="https://api.openai.com")
book = PriceBook({}, SystemClock())
before = set(sys.modules)
assert book.price(openai, "gpt-4o") is not None
print(sorted(set(sys.modules) - before))
"""


def test_the_library_has_read_its_data_before_the_first_call_asks_for_a_price() -> None:
    done = subprocess.run([sys.executable, "-c", _NOTHING_NEW_IS_LOADED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_audio_and_searches_cost_what_the_library_says() -> None:
    book = PriceBook({}, SystemClock())
    audio, search = book.price(OPENAI, "gpt-audio"), book.price(ANTHROPIC, "claude-sonnet-4-6")
    assert audio is not None
    assert search is not None
    spoken = Usage(input_tokens=1000, output_tokens=1000, parts=UsageParts(1000, 0, 1000, 0, 0))
    assert cost_of(spoken, audio) == 1000 * 32_000 + 1000 * 64_000
    library = calc_price(
        LibraryUsage(input_tokens=900, input_audio_tokens=400, output_tokens=70, output_audio_tokens=20),
        "gpt-audio",
        provider_id="openai",
    )
    mixed = Usage(input_tokens=900, output_tokens=70, parts=UsageParts(400, 0, 20, 0, 0))
    assert cost_of(mixed, audio) == library.total_price * 1_000_000_000
    searching = Usage(input_tokens=10, output_tokens=1, parts=UsageParts(web_searches=3))
    assert cost_of(searching, search) == 10 * 3000 + 15_000 + 3 * 10_000_000


def test_what_a_price_has_no_rate_for_has_no_cost() -> None:
    book = PriceBook({}, SystemClock())
    audio, plain = book.price(OPENAI, "gpt-audio"), book.price(OPENAI, "gpt-3.5-turbo")
    assert audio is not None
    assert plain is not None
    assert cost_of(Usage(10, 0, 0, 0, 1, 0, UsageParts(web_searches=1)), audio) is None
    assert cost_of(Usage(10, 0, 0, 0, 1, 0, UsageParts(audio_input_tokens=1)), plain) is None
    assert missing_rate(audio, has_audio=True, has_web_searches=False) is None
    assert missing_rate(audio, has_audio=False, has_web_searches=True) == "web searches"
    assert missing_rate(plain, has_audio=True, has_web_searches=False) == "audio"
    assert missing_rate(FREE, has_audio=True, has_web_searches=True) is None


@pytest.mark.parametrize(
    ("usage", "rate"),
    [
        (Usage(input_tokens=10, cache_write_tokens=4, output_tokens=1), "cache_write_mtok"),
        (Usage(input_tokens=10, cache_write_tokens=4, cache_write_1h_tokens=4, output_tokens=1), "cache_write_1h_mtok"),
        (Usage(10, 0, 0, 0, 1, 0, UsageParts(image_output_tokens=1)), "image_output_mtok"),
        (Usage(10, 0, 0, 0, 1, 0, UsageParts(audio_input_tokens=1)), "audio_input_mtok"),
        (Usage(10, 0, 0, 0, 1, 0, UsageParts(audio_output_tokens=1)), "audio_output_mtok"),
        (Usage(10, 0, 0, 0, 1, 0, UsageParts(web_searches=1)), "web_search_thousand"),
        (Usage(10, 0, 0, 0, 1, 0, UsageParts(file_searches=1)), "file_search_thousand"),
    ],
)
def test_what_a_price_of_the_settings_does_not_say_has_no_cost(usage: Usage, rate: str) -> None:
    tokens = {"input_mtok": Decimal(1), "output_mtok": Decimal(1)}
    assert cost_of(usage, override_price("a/m", **tokens)) is None
    said = cost_of(usage, override_price("a/m", **tokens, **{rate: Decimal(1000)}))
    assert said is not None
    assert said >= 1_000_000
    assert cost_of(usage, FREE) == 0


def test_what_was_cached_costs_no_more_than_other_input_where_nothing_is_said() -> None:
    own = override_price("a/m", input_mtok=Decimal(1), output_mtok=Decimal(1))
    assert cost_of(Usage(input_tokens=10, cached_tokens=4, output_tokens=1), own) == 11_000


def test_searches_of_files_cost_what_the_library_says() -> None:
    price = PriceBook({}, SystemClock()).price(OPENAI, "gpt-4.1")
    assert price is not None
    searched = cost_of(Usage(10, 0, 0, 0, 1, 0, UsageParts(file_searches=2)), price)
    plain = cost_of(Usage(10, 0, 0, 0, 1), price)
    assert searched is not None
    assert plain is not None
    assert searched - plain == 2 * 2_500_000


@pytest.mark.parametrize("tier", ["default", "auto", "standard", "standard_only", None])
def test_an_ordinary_tier_has_the_ordinary_price(tier: str | None) -> None:
    book = PriceBook({}, SystemClock())
    assert book.price(OPENAI, "gpt-4o-mini", tier) is book.price(OPENAI, "gpt-4o-mini")
