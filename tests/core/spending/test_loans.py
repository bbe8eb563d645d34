"""How much of a lease is lent to workers."""

from proxy.core.spending.leases import LEASE_SHARE, bounded_loan, is_loan_too_large, wanted_loan

LIMIT = LEASE_SHARE * 2 * 1_000


def test_a_worker_is_to_have_several_times_what_it_needed_and_no_more_than_its_fair_share() -> None:
    assert wanted_loan(0, 10, LIMIT, 1) == 40
    assert wanted_loan(0, 10_000, LIMIT, 1) == 1_000
    assert wanted_loan(0, 10_000, LIMIT, 4) == 250
    assert wanted_loan(0, 10_000, 100, 1) == 0


def test_a_worker_gets_more_when_half_of_what_it_should_have_is_used() -> None:
    assert wanted_loan(21, 10, LIMIT, 1) == 0
    assert wanted_loan(20, 10, LIMIT, 1) == 20


def test_at_most_half_of_a_lease_is_lent_or_drawn() -> None:
    assert bounded_loan(40, 1_000, 0, LIMIT, LIMIT) == 40
    assert bounded_loan(40, 1_000, 480, LIMIT, LIMIT) == 20
    assert bounded_loan(40, 1_000, 600, LIMIT, LIMIT) == 0


def test_near_the_limit_nothing_is_lent() -> None:
    assert bounded_loan(40, 1_000, 0, LIMIT, LIMIT // LEASE_SHARE + 30) == 30
    assert bounded_loan(40, 1_000, 0, LIMIT, LIMIT // LEASE_SHARE) == 0
    assert bounded_loan(40, 1_000, 0, LIMIT, -5) == 0


def test_a_loan_nobody_needs_or_that_is_far_more_than_needed_is_too_large() -> None:
    assert is_loan_too_large(1, 0)
    assert not is_loan_too_large(80, 10)
    assert is_loan_too_large(81, 10)
