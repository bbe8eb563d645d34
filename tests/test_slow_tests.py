"""`pytest -m "not slow"` leaves out what is named slow, and that is there."""

import pytest

from tests.conftest import ROOT, SLOW


def test_what_is_named_slow_is_there() -> None:
    assert [place for place in SLOW if not (ROOT / place).exists()] == []


def test_it_is_named_once_and_in_order() -> None:
    assert list(SLOW) == sorted(set(SLOW), key=lambda place: (place.endswith(".py"), place))
    folders = [place for place in SLOW if not place.endswith(".py")]
    assert not [place for place in SLOW if any(place.startswith(f"{folder}/") for folder in folders)]


def test_a_test_beside_the_slow_ones_is_not_marked(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("slow") is None
