"""One label watched after its candidate was taken away."""

from dataclasses import replace

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.core.releasing.releases import STABLE
from proxy.core.rollouts.measuring import outcome_metrics
from proxy.core.rollouts.progress import Progress, progress_document, read_progress
from proxy.core.rollouts.reading import read_plan
from proxy.core.rollouts.watching import Watch, kept_watch, read_watch
from proxy.core.snapshot import Rollout, Snapshot
from proxy.runtime.rollouts.judged import told_value
from proxy.store.ports.rollouts import KeptEvidence


class WatchedLabel:
    """Counts what the label's traffic is like since. `at_microseconds` is of a monotonic clock."""

    def __init__(self, rollout: Rollout, kept: KeptEvidence, at_microseconds: int) -> None:
        """`kept` is the rollout's last evidence. Raises ValueError, LookupError, TypeError or Refusal for what cannot be read."""
        assert rollout.plan is not None
        self.rollout = rollout
        self._kept = kept
        self._progress: Progress = read_progress(kept.progress)
        self.watch: Watch = read_watch(self._progress.watch or {})
        self.watch.state = "watching"
        plan = read_plan(rollout.plan)
        self._limit_seconds = plan.watch_seconds
        self.metrics = frozenset(guard.metric for guard in plan.metrics)
        self._since = rollout.ended_at_microseconds or kept.updated_at_microseconds
        self._looked_at = at_microseconds

    def count(self, run: Run) -> None:
        """Count one finished run of the label."""
        if run.rollout is None and run.version == self._version:
            self.watch.periods["after"].count(run)

    def count_outcome(self, run: Run, outcome: Outcome) -> None:
        """Count what was told of a run of the label since, or of the rollout that is over."""
        value, period = told_value(outcome), None
        if run.rollout == self.rollout.id and run.arm in self.watch.periods:
            period = self.watch.periods[run.arm]
        elif run.rollout is None and run.version == self._version and run.started_at_microseconds >= self._since:
            period = self.watch.periods["after"]
        if value is None or period is None:
            return
        for metric in outcome_metrics(outcome.name, outcome.severity):
            if metric in self.metrics:
                period.count_outcome(run, metric, value)

    def is_over(self, snapshot: Snapshot, at_microseconds: int) -> bool:
        """Whether its time has passed, or the label serves something else."""
        self.watch.seconds += max(0, at_microseconds - self._looked_at) / 1e6
        self._looked_at = at_microseconds
        return self.watch.seconds >= self._limit_seconds or not serves_stable(self.rollout, snapshot)

    def kept(self, now_microseconds: int) -> KeptEvidence:
        """To keep over a restart."""
        progress = progress_document(replace(self._progress, watch=kept_watch(self.watch)))
        return replace(self._kept, progress=progress, updated_at_microseconds=now_microseconds)

    @property
    def _version(self) -> int | None:
        stable = self.rollout.arm(STABLE)
        return None if stable is None else stable.version


def serves_stable(rollout: Rollout, snapshot: Snapshot) -> bool:
    """Whether everyone on the rollout's label gets its stable version."""
    state, stable = snapshot.agents.get(rollout.agent), rollout.arm(STABLE)
    if state is None or stable is None or rollout.label in state.rollouts:
        return False
    label = state.labels.get(rollout.label)
    return label is not None and label.version == stable.version
