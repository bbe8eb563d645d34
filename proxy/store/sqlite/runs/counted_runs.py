"""What the newest runs come to, counted when they were written, so that adding them up for reports need not read them back.

It is memory beside the database, and never believed further than the database bears it out: that nothing but what was counted was
written since is seen by the number of the newest run. Whatever else befalls runs that are counted and in no sum yet (they are
quarantined, pruned, written with others that were there before, or their transaction is undone) makes all of it forgotten, and they
are read. What they were told of is looked up when they are added up: only of which runs that was is kept.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from proxy.core.calls.runs import Run
from proxy.core.reports.alike import AlikeRuns
from proxy.core.reports.sums import HOUR_MICROSECONDS

_NEWEST: Final = "SELECT COALESCE(MAX(number), 0) FROM run_records"


def newest_run(plain: sqlite3.Connection) -> int:
    """The number of the run that was recorded last; 0 where there is none."""
    newest: int = plain.execute(_NEWEST).fetchone()[0]
    return newest


class CountedRuns:
    """The runs from one number on to the newest. Belongs to the one who writes the database."""

    def __init__(self) -> None:
        self._plain: sqlite3.Connection | None = None
        self._first = 1
        self._newest = 0
        self._alike: dict[tuple[int, str, int], AlikeRuns] = {}
        self._told: set[str] = set()

    def add(
        self, plain: sqlite3.Connection, newest_before: int, newest: int, runs: Sequence[Run], lanes: Sequence[int]
    ) -> None:
        """Count runs that were just written, with the number of each one's lane; the numbers of the newest before and now."""
        if not self._is_up_to(plain, newest_before):
            self._begin(plain, newest_before)
        if newest - newest_before != len(runs):
            self._begin(plain, newest)
            return
        for run, lane in zip(runs, lanes, strict=True):
            started = run.started_at_microseconds
            key = (lane, run.agent, started - started % HOUR_MICROSECONDS)
            alike = self._alike.get(key)
            if alike is None:
                alike = self._alike[key] = AlikeRuns()
            user = run.user or run.conversation
            if not run.quarantined:
                alike.add(
                    user,
                    run.duration_microseconds,
                    run.time_to_first_byte_microseconds,
                    run.input_tokens,
                    run.cached_tokens,
                    run.output_tokens,
                    run.cost_nanodollars,
                )
            elif user:
                alike.saw(user)
        self._newest = newest

    def first(self, plain: sqlite3.Connection) -> int:
        """From which number on all runs are counted here; that behind the newest where none are."""
        newest = newest_run(plain)
        if not self._is_up_to(plain, newest):
            self._begin(plain, newest)
        return self._first

    def take(self) -> tuple[dict[tuple[int, str, int], AlikeRuns], set[str]]:
        """What they come to by lane, agent and hour, and the ids of runs of which something was told, theirs among them. From now on
        they are not counted here."""
        taken = self._alike, self._told
        self._first, self._alike, self._told = self._newest + 1, {}, set()
        return taken

    def told(self, run_ids: Iterable[str]) -> None:
        """Something was told of these runs."""
        self._told.update(run_ids)

    def forget(self) -> None:
        """Runs that are counted here may not be what they were."""
        self._plain = None

    def _is_up_to(self, plain: sqlite3.Connection, newest: int) -> bool:
        return plain is self._plain and newest == self._newest

    def _begin(self, plain: sqlite3.Connection, newest: int) -> None:
        self._plain, self._newest = plain, newest
        self.take()
