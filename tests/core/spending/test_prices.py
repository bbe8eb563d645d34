"""Money: exact costs rounded up, and a hold that no bill within its bounds can pass."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.spending.prices import FREE, PartRates, Price, Rates, cost_of, hold_cost, missing_rate
from proxy.core.spending.usage import Usage, UsageParts

#: $0.15, $0.075 and $0.60 per million tokens; writes dearer than input, as Anthropic's.
PLAIN = Price(
    "plain", (Rates(input=150_000, cached=75_000, cache_write=187_500, cache_write_1h=300_000, output=600_000),)
)
#: Twice the price from 200,000 input tokens on.
TIERED = Price(
    "tiered",
    (
        Rates(input=1_000_000, cached=100_000, cache_write=1_250_000, cache_write_1h=2_000_000, output=5_000_000),
        Rates(
            input=2_000_000,
            cached=200_000,
            cache_write=2_500_000,
            cache_write_1h=4_000_000,
            output=7_500_000,
            from_input_tokens=200_000,
        ),
    ),
)


@pytest.mark.parametrize(
    ("usage", "price", "nanodollars"),
    [
        (Usage(), PLAIN, 0),
        (Usage(input_tokens=1_000_000), PLAIN, 150_000_000),
        (Usage(output_tokens=1_000_000), PLAIN, 600_000_000),
        (Usage(input_tokens=1_000, cached_tokens=400), PLAIN, 600 * 150 + 400 * 75),
        (Usage(input_tokens=1_000, cache_write_tokens=400), PLAIN, 600 * 150 + 75_000),
        (Usage(input_tokens=1_000, cache_write_tokens=400, cache_write_1h_tokens=100), PLAIN, 90_000 + 56_250 + 30_000),
        (Usage(output_tokens=100, reasoning_tokens=90), PLAIN, 60_000),
        (Usage(input_tokens=199_999), TIERED, 199_999_000),
        (Usage(input_tokens=200_000), TIERED, 400_000_000),
        (Usage(input_tokens=200_000, output_tokens=1_000), TIERED, 407_500_000),
        (Usage(input_tokens=10**9, output_tokens=10**9), FREE, 0),
    ],
)
def test_costs_are_exact(usage, price, nanodollars):
    assert cost_of(usage, price) == nanodollars


def test_a_part_of_a_nanodollar_is_rounded_up():
    price = Price("tiny", (Rates(input=1, cached=0, cache_write=0, cache_write_1h=0, output=999),))
    assert [cost_of(Usage(input_tokens=count), price) for count in (0, 1, 1_000, 1_001)] == [0, 1, 1, 2]
    assert cost_of(Usage(input_tokens=1, output_tokens=1), price) == 1


def test_the_hold_takes_the_dearest_input_price():
    assert hold_cost(1_000, 0, PLAIN) == 300_000


@pytest.mark.parametrize(("bound", "nanodollars"), [(199_999, 399_998_000), (200_000, 800_000_000)])
def test_the_hold_reckons_with_a_tier_from_the_first_token_that_reaches_it(bound, nanodollars):
    assert hold_cost(bound, 0, TIERED) == nanodollars


def test_the_hold_reckons_with_a_cheaper_tier_that_may_not_be_reached():
    cheaper_in_bulk = Price(
        "bulk",
        (replace(TIERED.tiers[1], from_input_tokens=0), Rates(**_rates(input=1, output=1), from_input_tokens=1_000)),
    )
    assert hold_cost(10_000, 10, cheaper_in_bulk) == 10_000 * 4_000 + 10 * 7_500


def test_what_is_free_holds_nothing():
    assert hold_cost(10**9, 10**9, FREE) == 0


def _rates(**members: int) -> dict[str, int]:
    return {"cached": 0, "cache_write": 0, "cache_write_1h": 0, **members}


rates = st.integers(0, 10**8)


@st.composite
def prices(draw) -> Price:
    thresholds = sorted(draw(st.sets(st.integers(1, 2_000), max_size=3)))
    tiers = [
        Rates(
            input=draw(rates),
            cached=draw(rates),
            cache_write=draw(rates),
            cache_write_1h=draw(rates),
            output=draw(rates),
            from_input_tokens=threshold,
        )
        for threshold in (0, *thresholds)
    ]
    return Price("any", tuple(tiers))


@st.composite
def usages(draw, input_bound: int, output_bound: int) -> Usage:
    """Any usage within the bounds; a provider may also report parts that do not add up."""
    input_tokens = draw(st.integers(0, input_bound))
    cached = draw(st.integers(0, input_tokens))
    written = draw(st.integers(0, input_tokens - cached))
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, input_bound)),
        output_tokens=draw(st.integers(0, output_bound)),
        reasoning_tokens=draw(st.integers(0, output_bound)),
    )


optional_rates = st.none() | rates


@given(
    st.data(), prices(), st.integers(0, 3_000), st.integers(0, 3_000),
    st.lists(optional_rates, min_size=6, max_size=6), rates, st.integers(0, 5),
)  # fmt: skip
def test_no_usage_with_parts_costs_more_than_the_hold(data, price, input_bound, output_bound, special, call, searches):
    names = ("audio_input", "image_input", "audio_output", "image_output", "reasoning", "web_search")
    parts = PartRates(**dict(zip(names, special, strict=True)), call=call)
    price = replace(price, tiers=tuple(replace(tier, parts=parts) for tier in price.tiers))
    usage = data.draw(usages(input_bound, output_bound))
    count = st.integers(0, 3_000)
    usage.parts = UsageParts(*(data.draw(count) for _ in range(4)), data.draw(st.integers(0, searches)))
    held = hold_cost(input_bound, output_bound, price, is_text=False, web_searches=searches)
    cost = cost_of(usage, price)
    # Nobody asks for images in an answer: what they cost is found missing when they came.
    is_sure = parts.image_output is not None or usage.parts.image_output_tokens == 0
    if is_sure and missing_rate(price, has_audio=True, has_web_searches=True) is None:
        assert cost is not None
    assert cost is None or cost <= held


@given(st.data(), prices(), st.integers(0, 3_000), st.integers(0, 3_000))
def test_no_usage_within_the_bounds_costs_more_than_the_hold(data, price, input_bound, output_bound):
    usage = data.draw(usages(input_bound, output_bound))
    assert cost_of(usage, price) <= hold_cost(input_bound, output_bound, price)


@given(prices(), st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 100))
def test_a_wider_bound_never_holds_less(price, input_bound, output_bound, more):
    held = hold_cost(input_bound, output_bound, price)
    assert held <= hold_cost(input_bound + more, output_bound, price)
    assert held <= hold_cost(input_bound, output_bound + more, price)
