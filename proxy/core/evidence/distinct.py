"""How many different users: linear counting (Whang, Vander-Zanden and Taylor, TODS 15, 1990) in a bitmap of fixed size.

Eight kilobytes a side, whatever the traffic; maps add by OR. The error is below half a per cent up to 60,000 users, far below
what chance does to a split; beyond `FULL_SHARE` of the bits set it is full and says so, and the split is judged no further.
"""

import math
import zlib
from typing import Final

import mmh3

BITS: Final = 1 << 16
FULL_SHARE: Final = 0.6
#: Independent of the hashes for buckets and clusters, or the candidate's users would share bits.
_SEED: Final = 0xD157


def distinct_hash(text: str) -> int:
    """32 bits of which the lower ones say which bit of a map is a text's."""
    return mmh3.hash(text.encode("utf-8", "surrogatepass"), _SEED, signed=False)


def estimated(bits_set: int) -> int:
    """How many different texts have set so many bits of `BITS`."""
    return round(-BITS * math.log1p(-min(bits_set, BITS - 1) / BITS))


class DistinctCount:
    """A mutable count of different texts."""

    def __init__(self, bitmap: bytes | None = None) -> None:
        self._bitmap = bytearray(BITS // 8) if bitmap is None else bytearray(bitmap)
        self._bits_set = 0 if bitmap is None else int.from_bytes(bitmap, "little").bit_count()

    def add(self, text: str) -> None:
        """Count one text; again changes nothing."""
        position = distinct_hash(text) % BITS
        byte, bit = position >> 3, 1 << (position & 7)
        if not self._bitmap[byte] & bit:
            self._bitmap[byte] |= bit
            self._bits_set += 1

    @property
    def is_full(self) -> bool:
        """Whether it has seen too many to tell them apart."""
        return self._bits_set >= BITS * FULL_SHARE

    def estimate(self) -> int:
        """How many different texts were counted."""
        return estimated(self._bits_set)

    def packed(self) -> bytes:
        """To keep: the bitmap, compressed."""
        return zlib.compress(bytes(self._bitmap), 1)

    @classmethod
    def unpacked(cls, packed: bytes) -> "DistinctCount":
        """As it was packed. Raises ValueError for anything else."""
        try:
            unpacking = zlib.decompressobj()
            bitmap = unpacking.decompress(packed, BITS // 8)
        except zlib.error as error:
            raise ValueError("no packed count") from error
        if len(bitmap) != BITS // 8:
            raise ValueError("a packed count of another size")
        return cls(bitmap)
