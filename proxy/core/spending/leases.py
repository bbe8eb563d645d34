"""How large a spend lease is: enough that calls need not wait for a commit, little enough that a crash costs little.

A lease is what one process may hold in one counter beyond what the ledger's rows say. If the process crashes, all of it is
charged, used or not: the ledger then shows at most one lease per counter too much, and never more than the cap's limit.
Keeping and writing leases is runtime's matter (counters.py, writer.py).

With several workers the owner of the ledger lends each a part of its lease, so that its calls need not wait for the owner
either. What is lent counts as held; it comes back when somebody else needs it (runtime's lending.py).

What crashes charged in a window is taken off what a lease in it may be: a process that crashes again and again, and its workers, which
may die more often, charge no more than one lease in all, and what calls in flight held. So a life after a crash goes on with
what its lease still is, and takes no other on top.

Decision: what a crash charged is not given back. The runs that were recorded tell what some calls spent that only the lease stood for, and
nothing proves that there were no others: a call is sent before anything of it is written. What stays charged is bounded and shown.

Decision: at least 1/1024 of the limit, at most 1/64. A cap too small for that (one hold is more than 1/64) has no lease, and its calls wait
for their rows, in exchange for nothing over-counted.
"""

from typing import Final

#: A lease is at most this part of the cap's limit.
LEASE_SHARE: Final = 64
#: Where anything is needed, a lease is at least this part of the limit: a cap or a process that is seconds old has seen no rate yet, and
#: has to live through a store that is away all the same.
_LEAST_SHARE: Final = 1024
#: Leases are this many times what was needed at once, so that they seldom change.
_SPARE: Final = 4
#: This part of a lease at most is lent or drawn when something is lent: the rest is for calls that ask the owner.
_LENT_SHARE: Final = 2


def wanted_lease(lease: int, needed: int, limit: int) -> int:
    """The lease for a counter that lately needed `needed` at once: unchanged unless more than half is used, or less than an
    eighth; of a limit that is large enough never less than its least share, until nothing is needed."""
    if needed * 2 > lease or needed * 8 < lease:
        lease = needed * _SPARE
    return max(lease, limit // _LEAST_SHARE) if needed else lease


def largest_lease(limit: int, charged: int = 0) -> int:
    """What a lease of a counter may be, and so what a crash may charge there without a call, at most. `charged`: what crashes charged in
    this window already."""
    return max(0, limit // LEASE_SHARE - charged)


def bounded_lease(wanted: int, limit: int, one_hold: int, room: int | None, charged: int = 0) -> int:
    """What of a wanted lease is given. `one_hold`: what a call holds; a lease that covers none is useless. `room`: what the
    limit leaves beyond the rows; None where calls may pass it. `charged`: what crashes charged in this window."""
    bound = largest_lease(limit, charged)
    if room is not None and room < bound:
        bound = room
    given = min(wanted, bound)
    return given if given >= one_hold else 0


def wanted_loan(left: int, needed: int, limit: int, workers: int) -> int:
    """How much more a worker is to be lent that lately needed `needed` at once and has `left`: nothing while it has more than
    half of what it should have. That is no more than its fair share of the largest lease there can be."""
    should_have = min(needed * _SPARE, _fair_share(limit, workers))
    return 0 if left * 2 > should_have else should_have - left


def is_too_small_to_lend(limit: int, one_hold: int, workers: int) -> bool:
    """Whether a worker's fair share of the largest lease there can be is less than one hold."""
    return _fair_share(limit, workers) < one_hold


def bounded_loan(wanted: int, lease: int, drawn: int, limit: int, room: int) -> int:
    """What of a wanted loan can be given. `drawn`: what is lent or drawn already; `room`: what the limit leaves.

    Near the limit nothing is lent, so that no worker keeps what another's call could have."""
    return max(0, min(wanted, lease // _LENT_SHARE - drawn, room - limit // LEASE_SHARE))


def is_loan_too_large(left: int, needed: int) -> bool:
    """Whether a worker has so much more than it lately needed that it is to give it back."""
    return left > needed * _SPARE * 2


def _fair_share(limit: int, workers: int) -> int:
    return limit // (LEASE_SHARE * _LENT_SHARE * max(workers, 1))
