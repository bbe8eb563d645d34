"""Latency buckets: durations counted so that sums over versions, hours and machines stay exact counts.

Bucket k holds durations in (1.02^(k-1), 1.02^k] microseconds, bucket 0 everything up to one microsecond; a quantile read
from the buckets is at most 2 % too high. Histograms add by adding counts. Counting and storing are others' matter.
"""

import math
from collections.abc import Mapping
from typing import Final

GAMMA: Final = 1.02
_LOG_GAMMA: Final = math.log(GAMMA)


def latency_bucket(duration_microseconds: int) -> int:
    """The bucket of a duration: the smallest whose upper edge is not below it."""
    if duration_microseconds <= 1:
        return 0
    return math.ceil(math.log(duration_microseconds) / _LOG_GAMMA)


def bucket_edge(bucket: int) -> float:
    """The upper edge of a bucket, in microseconds."""
    return GAMMA**bucket


def quantile_bucket(counts: Mapping[int, int], share: float) -> int | None:
    """The bucket in which a quantile lies of so many durations in each; None of none."""
    left = math.ceil(share * sum(counts.values()))
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0:
            return bucket
    return None
