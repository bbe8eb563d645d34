"""Stable assignment of a subject to a bucket: the same subject and salt give the same bucket for ever.

Formula: murmur3_x86_32 of "{salt}:{unit}" (UTF-8, seed 0, unsigned), scaled to 0..99,999 by multiply-and-shift; integers
only, so no float decides at a boundary. A separator stands between salt and unit, because without one `exp1`+`2user`
equals `exp`+`12user`. The cluster (64 groups, another seed) is for analysis of correlated users, never for assignment.

Decision: multiply-and-shift as in flagd's fractional evaluation v2 rather than a modulus; its full-hash vectors are
checked in tests/core/test_bucketing.py.
"""

import unicodedata
from decimal import Decimal
from typing import Final

import mmh3

from proxy.core.errors import BadInput

BUCKETS: Final = 100_000
_CLUSTER_SEED: Final = 0x5EED


def bucket_of(salt: str, unit: str) -> int:
    """The fixed position 0..99,999 of `unit` (a user or conversation id, NFC-normalised, else exactly as sent)."""
    return (mmh3.hash(_key(salt, unit), 0, signed=False) * BUCKETS) >> 32


def cluster_of(salt: str, unit: str) -> int:
    """The analysis cluster 0..63 of `unit`, independent of its bucket."""
    return mmh3.hash(_key(salt, unit), _CLUSTER_SEED, signed=False) >> 26


def buckets_for(percentage: float) -> int:
    """How many of the 100,000 buckets a percentage in 0..100 (at most three decimals) takes.

    Raises BadInput(`bad_percentage`) outside that range or precision.
    """
    exact = Decimal(str(percentage)) * 1000
    if not exact.is_finite() or not 0 <= exact <= BUCKETS or exact != exact.to_integral_value():
        raise BadInput(
            "bad_percentage",
            f"percentage must be between 0 and 100 with at most three decimals, not {percentage}",
            param="percentage",
        )
    return int(exact)


def _key(salt: str, unit: str) -> bytes:
    # Lone surrogates can come from a header decoded leniently; they must hash, not raise.
    normal = unit if unit.isascii() else unicodedata.normalize("NFC", unit)
    return f"{salt}:{normal}".encode("utf-8", "surrogatepass")
