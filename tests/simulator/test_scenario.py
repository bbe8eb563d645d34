"""Orders are read strictly and combined in a fixed order of precedence."""

import pytest

from proxy.simulator.scenario import (
    HEALTHY,
    Fault,
    OrderError,
    Scenario,
    marked_orders,
    parse_orders,
    without_markers,
)


def test_orders_are_pairs_and_flags_separated_by_semicolons() -> None:
    assert parse_orders(" delay_ms = 20 ;refuse; finish=length;") == {
        "delay_ms": "20",
        "refuse": "true",
        "finish": "length",
    }


def test_markers_are_found_anywhere_in_a_text_and_the_later_wins() -> None:
    text = "Be kind. [[simulate: events=3; refuse]] Really.\n[[simulate:events=5]]"
    assert marked_orders(text) == {"events": "5", "refuse": "true"}
    assert without_markers("Be kind. [[simulate: events=3]]") == "Be kind."


def test_values_take_the_type_of_their_order() -> None:
    scenario = HEALTHY.ordered(
        {"delay_ms": "2.5", "events": "3", "refuse": "true", "error_rate": 0.5, "finish": "length"}
    )
    assert scenario == Scenario(delay_ms=2.5, events=3, refuse=True, error_rate=0.5, finish="length")


@pytest.mark.parametrize("orders", [{"explode": "1"}, {"events": "many"}, {"refuse": "maybe"}, {"fault": "1"}])
def test_an_order_that_nobody_can_follow_is_an_error(orders: dict[str, str]) -> None:
    with pytest.raises(OrderError, match=next(iter(orders))):
        HEALTHY.ordered(orders)


def test_an_order_can_be_taken_back() -> None:
    assert Scenario(refuse=True).ordered({"refuse": "false"}) == HEALTHY


def test_the_fault_names_what_goes_wrong_and_when() -> None:
    assert HEALTHY.fault is None
    assert Scenario(stall_after_events=0).fault == Fault("stall", 0)


def test_the_error_rate_hits_the_same_calls_for_the_same_seed() -> None:
    def failing(seed: int) -> list[int]:
        scenario = Scenario(error_rate=0.3, status=529, seed=seed)
        return [number for number in range(1_000) if scenario.failure_status(number)]

    assert failing(1) == failing(1)
    assert failing(1) != failing(2)
    assert 240 < len(failing(1)) < 360
    assert Scenario(error_rate=0.0).failure_status(1) is None
    assert Scenario(error_rate=1.0).failure_status(1) == 500


def test_slow_is_never_faster_than_what_else_is_ordered() -> None:
    assert Scenario(slow=True).first_delay_ms == 1_500
    assert Scenario(slow=True, delay_ms=9_000).first_delay_ms == 9_000
    assert Scenario(slow=True).piece_delay_ms == 50
