"""What is held before a call that is billed for more than its text, and which calls cannot be bounded or priced."""

import json
from dataclasses import replace
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
from proxy.wires.openai_responses.wire import OpenAIResponses
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


@pytest.mark.parametrize(
    "model", ["gpt-4o-search-preview-2025-03-11", "gpt-5-search-api", "openai/gpt-4o-mini-search-preview"]
)
def test_a_model_that_always_searches_holds_its_search_without_being_asked_for_one(model: str) -> None:
    window: dict[str, Any] = {"input_mtok": Decimal(1), "output_mtok": Decimal(1), "context_window": 1000}
    own = override_price("a/m", web_search_thousand=Decimal(10), **window)
    bare = override_price("a/m", **window)
    asked, unasked = (bound(OpenAIChat(), own, model=model, **more) for more in ({"web_search_options": {}}, {}))
    assert unasked.nanodollars is not None
    assert unasked.nanodollars >= 10_000_000
    assert asked.nanodollars is not None
    assert asked.nanodollars >= 10_000_000
    assert "the price of web searches" in bound(OpenAIChat(), bare, model=model).unbounded_because


def test_bodies_that_are_alike_are_held_alike() -> None:
    own = override_price(
        "a/m", input_mtok=Decimal(1), output_mtok=Decimal(1), web_search_thousand=Decimal(10), context_window=1000
    )
    wire = OpenAIChat()
    held = {bound(wire, own, web_search_options={}).nanodollars for _ in range(8)}
    assert held == {1000 * 1000 + 100 * 1000 + 10_000_000}


KEPT = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
KEPT_LONG = KEPT | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def test_what_is_to_be_kept_cannot_be_held_without_the_price_of_keeping_it() -> None:
    rates = {"input_mtok": Decimal(1), "output_mtok": Decimal(1)}
    bare, short = override_price("a/m", **rates), override_price("a/m", **rates, cache_write_mtok=Decimal(2))
    both = override_price("a/m", **rates, cache_write_mtok=Decimal(2), cache_write_1h_mtok=Decimal(3))
    for wire in (AnthropicMessages(), OpenAIChat()):
        for _ in range(8):  # bodies that are alike
            kept, kept_long = (
                [{"role": "user", "content": "a"}, {"role": "user", "content": [part]}] for part in (KEPT, KEPT_LONG)
            )
            assert "the price of cache writes with" in bound(wire, bare, messages=kept).unbounded_because
            assert "cache writes for an hour" in bound(wire, short, messages=kept_long).unbounded_because
            priced = [bound(wire, short, messages=kept), bound(wire, both, messages=kept_long)]
            assert all(held.nanodollars is not None for held in priced)
            said = [{"role": "user", "content": '"cache_control": {"ttl": "1h"}'}]
            assert bound(wire, bare, messages=said).nanodollars is not None


def test_what_is_dearer_than_text_is_seen_however_it_is_spelled() -> None:
    rates = {"input_mtok": Decimal(1), "output_mtok": Decimal(1)}
    bare, short = override_price("a/m", **rates), override_price("a/m", **rates, cache_write_mtok=Decimal(2))
    for part, price, missing in (
        (KEPT, bare, "the price of cache writes with"),
        (KEPT_LONG, short, "cache writes for an hour"),
        ({"type": "input_audio", "input_audio": {}}, bare, "the price of audio"),
    ):
        body = json.dumps(CHAT | {"model": "m", "messages": [{"role": "user", "content": [part]}]})
        for plain, escaped in (
            ("cache_control", "cache\\u005fcontrol"),
            ('"1h"', '"\\u0031h"'),
            ("_audio", "_\\u0061udio"),
        ):
            body = body.replace(plain, escaped)
        wire = OpenAIChat()
        request = wire.read(body.encode())
        window = None if price is None else replace(price, context_window=1000)
        held = hold_bound(wire, request, wire.inject(request, InjectionPlan(bundle=None)), window)
        assert missing in held.unbounded_because


def test_searches_of_files_are_held_where_their_price_is_known() -> None:
    wire, window = OpenAIResponses(), {"context_window": 1000}
    rates = {"input_mtok": Decimal(1), "output_mtok": Decimal(1), **window}
    own, bare = override_price("a/m", **rates, file_search_thousand=Decimal(5)), override_price("a/m", **rates)
    body = {
        "model": "m",
        "input": "hi",
        "max_output_tokens": 100,
        "tools": [{"type": "file_search"}],
        "max_tool_calls": 2,
    }
    request = wire.read(json.dumps(body).encode())
    injection = wire.inject(request, InjectionPlan(bundle=None))
    assert hold_bound(wire, request, injection, own).nanodollars == 3 * 1000 * 1000 + 100 * 1000 + 2 * 5_000_000
    assert "the price of file searches" in hold_bound(wire, request, injection, bare).unbounded_because
