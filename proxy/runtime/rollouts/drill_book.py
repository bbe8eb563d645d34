"""What is known of drills: the last of each agent in memory, all of them in the ledger of releases, which keeps them for ever.

Decision: a drill is kept as the evidence of the ledger row that ends its label, and in no table of its own: the row is append-only,
audited and proven like every other, and the label's few rows are found by an index that is there.
"""

from collections.abc import Iterable

from proxy.core.names import DRILL_LABEL
from proxy.core.pages import Page
from proxy.core.rollouts.drills import DrillDocument, drill_of
from proxy.core.times import parse_rfc3339
from proxy.runtime.telemetry.metrics import Metrics
from proxy.store.ports.releases import ReleaseStore

#: A drill writes four rows.
_ROWS_A_DRILL = 4
#: The newest rows may be of drills that came to nothing.
_LOOKED_AT = 5


class DrillBook:
    """Reads the ledger; is told of each new drill."""

    def __init__(self, store: ReleaseStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._last: dict[str, DrillDocument] = {}
        #: Agents whose ledger was looked at.
        self._read: set[str] = set()

    def last(self, agent: str) -> DrillDocument | None:
        """The agent's last drill; None: none, or none that is known yet."""
        return self._last.get(agent)

    def last_of_all(self) -> list[DrillDocument]:
        """The last drill of every agent that had one, by agent."""
        return [self._last[agent] for agent in sorted(self._last)]

    async def read(self, agents: Iterable[str]) -> None:
        """Look up those that were not looked up yet. Raises Unavailable."""
        for agent in agents:
            if agent in self._read:
                continue
            found = (await self.page(agent, None, _LOOKED_AT)).items
            self._read.add(agent)
            if found and agent not in self._last:
                self.note(found[0])

    async def page(self, agent: str, cursor: str | None, limit: int) -> Page[DrillDocument]:
        """The newest first. A page may hold fewer, also none, while its cursor leads on. Raises BadInput(`bad_cursor`), Unavailable."""
        rows = await self._store.releases(agent, DRILL_LABEL, cursor, limit * _ROWS_A_DRILL)
        return Page([drill for row in rows.items if (drill := drill_of(row)) is not None], rows.next_cursor)

    def note(self, drill: DrillDocument) -> None:
        """It is over."""
        self._last[drill["agent"]] = drill
        drilled_at = parse_rfc3339(drill["drilled_at"], "drilled_at")
        self._metrics.drilled(drill["agent"], drilled_at, drill["time_ms"], passed=drill["passed"])
