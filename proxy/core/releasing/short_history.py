"""A label's ledger, shortened for keeping beside the snapshot: a rollback decided on it goes where the whole ledger says.

For the time when the store cannot be read. The rule itself is releases.plan_rollback; here is only which rows it cannot do
without: those the standing versions follow from, and the newest ones, word for word.
"""

from collections.abc import Sequence

from proxy.core.releasing.releases import Release, standing_rows

#: Rows kept per label: half of them the newest, half for the versions that stood before those.
MOST_ROWS = 24


def short_history(history: Sequence[Release], most: int = MOST_ROWS) -> tuple[Release, ...]:
    """At most about `most` rows of a label's `history` (oldest first), in order, that decide rollbacks as all of them do.

    What is lost is reach, never truth: a rollback may find no earlier version, or not know a release it is told to undo,
    but it never goes to another version.
    """
    if len(history) <= most:
        return tuple(history)
    half = most // 2
    older, newest = history[:-half], history[-half:]
    kept = (*_rows_of_last(standing_rows(older), half), *newest)
    if _ends_alike(standing_rows(kept), standing_rows(history)):
        return kept
    # A rollback among the newest rows went back further than what was kept of the older ones.
    rows = _rows_of_last(standing_rows(history), most - 1)
    last = history[-1]
    return rows if rows and rows[-1] is last else (*rows, last)


def followed_by(kept: Sequence[Release], row: Release) -> tuple[Release, ...]:
    """A short history once another row of the label follows it."""
    if row.kind == "label_deleted":
        return ()
    if row.kind == "rolled_back" and row.version not in {rows[-1].version for rows in standing_rows(kept)}:
        # It may have gone back over everything that is kept; only the whole ledger knows.
        return (row,)
    return short_history((*kept, row))


def is_cut(history: Sequence[Release]) -> bool:
    """True for what is left once a rollback may have gone back over everything that was kept: the ledger knows more."""
    return len(history) == 1 and history[0].kind == "rolled_back"


def _rows_of_last(standing: list[tuple[Release, ...]], count: int) -> tuple[Release, ...]:
    """The rows of the last standing versions; a version taken by a rollback needs two."""
    rows = [row for version in standing[-count:] for row in version]
    return tuple(rows[-count:])


def _ends_alike(kept: list[tuple[Release, ...]], whole: list[tuple[Release, ...]]) -> bool:
    ends = [rows[-1].version for rows in kept]
    return ends == [rows[-1].version for rows in whole][-len(ends) :] if ends else not whole
