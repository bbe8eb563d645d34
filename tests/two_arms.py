"""The two arms of a rollout that ramps, as tests want them: by the prefix rule, spelled out once more."""

from proxy.core.bucketing import BUCKETS
from proxy.core.snapshot import Arm


def split(stable: int, candidate: int, candidate_buckets: int) -> tuple[Arm, ...]:
    """The candidate holds the first buckets, so that growth moves nobody back."""
    stable_ranges = ((candidate_buckets, BUCKETS),) if candidate_buckets < BUCKETS else ()
    candidate_ranges = ((0, candidate_buckets),) if candidate_buckets else ()
    return (Arm("stable", stable, stable_ranges), Arm("candidate", candidate, candidate_ranges))
