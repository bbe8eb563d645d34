"""What is recorded of a rollout before the loop's next tick meets it: kept for that tick, and counted then."""

from collections import deque
from collections.abc import Set
from typing import Final

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.runtime.rollouts.judged import JudgedRollout

#: What a process records between two ticks at most; of more, the newest count.
_MOST: Final = 20_000
_Key = tuple[str, str]


class EarlyRuns:
    """Runs, and facts about runs, of rollouts nobody judges yet, in the order they came."""

    def __init__(self) -> None:
        self._came: deque[tuple[_Key, Run, Outcome | None]] = deque(maxlen=_MOST)

    def __len__(self) -> int:
        return len(self._came)

    def add(self, key: _Key, run: Run, outcome: Outcome | None = None) -> None:
        """Keep a run of this rollout, or a fact about one."""
        self._came.append((key, run, outcome))

    def keep_only(self, awaited: Set[_Key]) -> None:
        """Let go of what came of other rollouts than these: they have ended, or nobody will judge them."""
        self._came = deque((one for one in self._came if one[0] in awaited), _MOST)

    def count(self, key: _Key, judged: JudgedRollout) -> None:
        """Count what came of this rollout, and let go of it."""
        for _, run, outcome in (one for one in self._came if one[0] == key):
            if outcome is None:
                judged.count(run)
            else:
                judged.count_outcome(run, outcome)
        self._came = deque((one for one in self._came if one[0] != key), _MOST)
