"""How large a spend lease is: enough that calls need not wait for a commit, little enough that a crash costs little.

A lease is what one process may hold in one counter beyond what the ledger's rows say. If the process crashes, all of it is
charged, used or not: the ledger then shows at most one lease per counter too much, and never more than the cap's limit.
Keeping and writing leases is runtime's matter (spend_counters.py, ledger_writer.py).

Decision: at most 1/64 of the limit. A cap too small for that (one hold is more than 1/64) has no lease, and its calls wait
for their rows, in exchange for nothing over-counted.
"""

#: A lease is at most this part of the cap's limit.
LEASE_SHARE = 64
#: Leases are this many times what was needed at once, so that they seldom change.
_SPARE = 4


def wanted_lease(lease: int, needed: int) -> int:
    """The lease for a counter that lately needed `needed` at once: unchanged unless more than half is used, or less than an
    eighth."""
    if needed * 2 > lease or needed * 8 < lease:
        return needed * _SPARE
    return lease


def bounded_lease(wanted: int, limit: int, one_hold: int, room: int | None) -> int:
    """What of a wanted lease is given. `one_hold`: what a call holds; a lease that covers none is useless. `room`: what the
    limit leaves beyond the rows; None where calls may pass it."""
    bound = limit // LEASE_SHARE
    if room is not None and room < bound:
        bound = room
    given = min(wanted, bound)
    return given if given >= one_hold else 0
