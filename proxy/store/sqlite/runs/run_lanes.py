"""What runs have in common, written once: the lanes of runs that go the same way to the same end.

Decision: nearly all runs of a version that end well are alike in 28 of their 48 values. Written with each of them these cost
4 us of CPU a run and two fifths of the database.
"""

import sqlite3
from typing import Any, Final

from proxy.store.rows.runs import LANE_COLUMNS, lane_of, lane_values

_KEPT: Final = 4096
_LATEST: Final = f"SELECT * FROM run_lanes ORDER BY lane DESC LIMIT {_KEPT}"  # noqa: S608 (a constant)
_NEWEST: Final = "SELECT COALESCE(MAX(lane), 0) FROM run_lanes"
_INSERT: Final = f"INSERT INTO run_lanes ({', '.join(LANE_COLUMNS)}) VALUES ({', '.join('?' * len(LANE_COLUMNS))})"  # noqa: S608
_ANSWERED: Final = """
SELECT provider, model_asked, model_answered, MAX(lane) AS newest FROM run_lanes
WHERE provider IS NOT NULL AND model_asked IS NOT NULL AND model_answered IS NOT NULL AND model_answered != model_asked
GROUP BY provider, model_asked ORDER BY newest DESC LIMIT ?
"""


def answered_names(plain: sqlite3.Connection, limit: int) -> list[tuple[str, str, str]]:
    """Provider, model asked for and model that answered, as the port says. The model is of the newest lane (SQLite, bare columns)."""
    rows: list[Any] = plain.execute(_ANSWERED, (limit,)).fetchall()
    rows.reverse()
    return [(row["provider"], row["model_asked"], row["model_answered"]) for row in rows]


class RunLanes:
    """The lanes that are in the database, as far as they are known. Belongs to the one who writes it."""

    def __init__(self) -> None:
        self._plain: sqlite3.Connection | None = None
        self._newest = 0
        self._lanes: dict[Any, int] = {}

    def see(self, plain: sqlite3.Connection) -> None:
        """Forget what is not in the database: at the beginning of each transaction, because the last may have been undone."""
        newest: int = plain.execute(_NEWEST).fetchone()[0]
        if plain is self._plain and newest == self._newest:
            return
        latest = plain.execute(_LATEST).fetchall()
        self._lanes = {lane_of(row): row["lane"] for row in latest[::-1]}
        self._plain, self._newest = plain, newest

    def of(self, values: tuple[Any, ...]) -> int:
        """The number of the lane with these values of LANE_COLUMNS, which is written where it is not there yet. Raises what
        writing it does."""
        lane = self._lanes.get(values)
        return self._write(values) if lane is None else lane

    def _write(self, values: tuple[Any, ...]) -> int:
        assert self._plain is not None
        self._newest = lane = self._plain.execute(_INSERT, lane_values(values)).lastrowid or 0
        if len(self._lanes) >= _KEPT:
            del self._lanes[next(iter(self._lanes))]
        self._lanes[values] = lane
        return lane
