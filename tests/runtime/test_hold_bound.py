"""What is held before a call that is billed for more than its text, and which calls cannot be bounded or priced."""

import json
from decimal import Decimal
from typing import Any

import pytest

from proxy.core.spending.prices import Price
from proxy.runtime.calls.metering import hold_bound
from proxy.runtime.process.clock import SystemClock
from proxy.runtime.providers import Provider
from proxy.runtime.spending.holding import HoldBound
from proxy.runtime.spending.prices import PriceBook, override_price
from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.wire import InjectionPlan, Wire

BOOK = PriceBook({}, SystemClock())
OPENAI = Provider(name="openai", family="openai", base_url="https://api.openai.com")
ANTHROPIC = Provider(name="anthropic", family="anthropic", base_url="https://api.anthropic.com")
CHAT: dict[str, Any] = {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def bound(wire: Wire, price: Price | None, **members: Any) -> HoldBound:
    request = wire.read(json.dumps(CHAT | {"model": "m"} | members).encode())
    return hold_bound(wire, request, wire.inject(request, InjectionPlan(bundle=None)), price)


def test_a_call_with_sound_holds_the_dearest_rate_on_both_sides() -> None:
    price = BOOK.price(OPENAI, "gpt-audio")
    assert price is not None
    spoken = bound(OpenAIChat(), price, modalities=["text", "audio"], audio={"voice": "a", "format": "wav"})
    assert spoken.nanodollars == 128_000 * 32_000 + 100 * 64_000
    text = bound(OpenAIChat(), price)
    assert text.nanodollars is not None
    assert text.nanodollars < 246 * 10_000


@pytest.mark.parametrize(
    "members",
    [
        {"audio": {"voice": "a", "format": "wav"}},
        {
            "messages": [
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
            ]
        },
    ],
)
def test_sound_without_a_price_cannot_be_held(members: dict[str, Any]) -> None:
    refused = bound(OpenAIChat(), BOOK.price(OPENAI, "gpt-4o-mini"), **members)
    assert refused.nanodollars is None
    assert "the price of audio" in refused.unbounded_because


def test_searches_are_held_by_their_bound_and_refused_without_one() -> None:
    price = BOOK.price(ANTHROPIC, "claude-sonnet-4-6")
    assert price is not None
    window = {"context_window": 1000}
    own = override_price(
        "a/m", input_mtok=Decimal(1), output_mtok=Decimal(1), web_search_thousand=Decimal(10), **window
    )
    bare = override_price("a/m", input_mtok=Decimal(1), output_mtok=Decimal(1), **window)
    wire = AnthropicMessages()
    text = bound(wire, own, tools=[{"name": "web_search", "input_schema": {}}])
    three = bound(wire, own, tools=[SEARCH | {"max_uses": 3}])
    assert text.nanodollars is not None
    assert three.nanodollars == 1000 * 1000 + 100 * 1000 + 3 * 10_000_000
    assert "max_uses" in bound(wire, own, tools=[SEARCH]).unbounded_because
    assert "the price of web searches" in bound(wire, bare, tools=[SEARCH | {"max_uses": 3}]).unbounded_because
    chat = bound(OpenAIChat(), own, web_search_options={})
    assert chat.nanodollars == 1000 * 1000 + 100 * 1000 + 10_000_000
    assert bound(OpenAIChat(), own, web_search_options={}, n=3).nanodollars == 1000 * 1000 + 300 * 1000 + 3 * 10_000_000


def test_bodies_that_are_alike_are_held_alike() -> None:
    own = override_price(
        "a/m", input_mtok=Decimal(1), output_mtok=Decimal(1), web_search_thousand=Decimal(10), context_window=1000
    )
    wire = OpenAIChat()
    held = {bound(wire, own, web_search_options={}).nanodollars for _ in range(8)}
    assert held == {1000 * 1000 + 100 * 1000 + 10_000_000}
