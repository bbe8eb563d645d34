"""Gauges that follow the snapshot, set when it is swapped."""

from proxy.core.bucketing import BUCKETS
from proxy.core.releasing.arms import tried_arms
from proxy.core.snapshot import Snapshot
from proxy.runtime.process.clock import Clock
from proxy.runtime.telemetry.metrics import Metrics


class SnapshotGauges:
    """Call it with each new snapshot."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def __call__(self, snapshot: Snapshot) -> None:
        metrics = self._metrics
        metrics.snapshot_revision.set(snapshot.revision)
        metrics.snapshot_loaded.set(self._clock.now_microseconds() / 1e6)
        metrics.rollout_share_ratio.clear()
        for name, state in snapshot.agents.items():
            for label, rollout in state.rollouts.items():
                for arm in tried_arms(rollout):
                    metrics.rollout_share_ratio.labels(name, label, arm.name).set(arm.share_buckets / BUCKETS)
