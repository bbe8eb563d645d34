"""How a writer goes easy on a slow store."""

from proxy.runtime.process.pace import Pace


def test_a_fast_store_is_written_without_a_pause_in_ever_larger_batches() -> None:
    pace = Pace(1000, 0.1, 30)
    sizes: list[int] = []
    for _ in range(10):
        sizes.append(pace.at_once)
        assert pace.took(0.01, 5000) == 0
    assert sizes == sorted(sizes)
    assert sizes[0] < 100
    assert sizes[-1] == 1000


def test_the_first_batch_on_a_store_that_became_slow_is_no_large_one() -> None:
    pace = Pace(1000, 0.1, 30)
    for _ in range(100):
        pace.took(0.01, 2)
    assert pace.at_once < 100


def test_a_slow_store_is_left_to_others_for_most_of_the_time() -> None:
    pace = Pace(1000, 0.1, 30)
    assert pace.took(2, 100) == 18
    assert pace.took(200, 100) == 30


def test_batches_shrink_until_they_take_no_longer_and_never_to_nothing() -> None:
    pace = Pace(1000, 0.5, 30)
    for _ in range(10):
        pace.took(0.01, 5000)
    pace.took(4, 1000)
    assert pace.at_once == 250
    for _ in range(20):
        pace.took(100, 1000)
    assert pace.at_once == 10
    assert Pace(1, 0.5, 30).took(100, 1) == 30
