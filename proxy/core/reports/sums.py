"""The sums of a cell: of the runs of one agent, hour, version, label, rollout, step and arm. Whole numbers and a bitmap, so that they
add exactly, in any order, and what was added can be taken away again.

Decision: everything about a cell is one document, not a table a kind: a report over a year reads hundreds of rows instead of
hundreds of thousands, and a batch of runs changes one row for each of its cells. A cell of 500 users takes about 3 KB, a third of
it their bitmap (8 KB at most).
"""

import base64
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from proxy.core.evidence.distinct import BITS, FULL_SHARE, estimated

HOUR_MICROSECONDS: Final = 3_600_000_000
DAY_MICROSECONDS: Final = 24 * HOUR_MICROSECONDS
#: JSON programs carry no whole number beyond it exactly: those are kept as text.
_MOST_EXACT: Final = 2**53
#: Groups in which such numbers can be.
_LARGE: Final = frozenset({"counts", "cluster_cost", "outcome_sum", "outcome_squares"})
#: Values of outcomes are added in millionths.
MILLIONTHS: Final = 1_000_000


class Cell(NamedTuple):
    """Of which runs sums are. Version 0, step -1 and empty texts stand for none; `start_microseconds` begins a UTC hour or day."""

    agent: str
    start_microseconds: int
    version: int
    label: str
    rollout: str
    step: int
    arm: str


@dataclass(slots=True, eq=False)
class Users:  # noqa: PLW1641 it changes, and is no key
    """Which bits of a map (core/evidence/distinct) the users have set: single ones while they are few, which is what most cells have."""

    single: set[int] = field(default_factory=set[int])
    bitmap: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Users) and self._whole() == other._whole()

    def add(self, bits: Iterable[int]) -> None:
        """Count the users of these bits."""
        self.single.update(bits)
        self._settle()

    def merge(self, other: "Users") -> None:
        """Count the users that the other has counted too."""
        self.bitmap |= other.bitmap
        self.single |= other.single
        self._settle()

    def count(self) -> int | None:
        """How many users there were, within half a per cent; None where there were too many to tell them apart."""
        bits_set = self._whole().bit_count()
        return None if bits_set >= BITS * FULL_SHARE else estimated(bits_set)

    def text(self) -> str:
        """As it is kept, in the shorter of two forms."""
        whole = self._whole() if self.bitmap else 0
        raw = whole.to_bytes(BITS // 8, "little") if whole else array("H", sorted(self.single)).tobytes()
        return base64.b64encode(raw).decode()

    @classmethod
    def read(cls, text: str) -> "Users":
        """As it was kept. Raises ValueError for anything else."""
        raw = base64.b64decode(text)
        return cls(bitmap=int.from_bytes(raw, "little")) if len(raw) == BITS // 8 else cls(set(array("H", raw)))

    def _whole(self) -> int:
        """All bits as one number."""
        if not self.single:
            return self.bitmap
        bits = bytearray(self.bitmap.to_bytes(BITS // 8, "little"))
        for bit in self.single:
            bits[bit >> 3] |= 1 << (bit & 7)
        return int.from_bytes(bits, "little")

    def _settle(self) -> None:
        # A map in full is two bytes for each of so many bits.
        if len(self.single) >= BITS // 16:
            self.bitmap, self.single = self._whole(), set()


@dataclass(slots=True)
class RunSums:
    """What the runs of a cell come to: groups of named sums that are never 0, and the users there were."""

    groups: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    users: Users = field(default_factory=Users)

    def add(self, group: str, name: str, amount: int) -> None:
        """Add to one sum."""
        if amount:
            sums = self.groups.setdefault(group, {})
            total = sums.get(name, 0) + amount
            if total:
                sums[name] = total
            else:
                del sums[name]
                if not sums:
                    del self.groups[group]

    def merge(self, other: "RunSums") -> None:
        """Add everything that the other came to."""
        for group, more in other.groups.items():
            sums = self.groups.get(group)
            if sums is None:
                self.groups[group] = dict(more)
                continue
            for name, amount in more.items():
                sums[name] = sums.get(name, 0) + amount
            if 0 in sums.values():
                self._drop_zeros(group)
        self.users.merge(other.users)

    def get(self, group: str, name: str) -> int:
        return self.groups.get(group, {}).get(name, 0)

    def of(self, group: str) -> Mapping[str, int]:
        return self.groups.get(group, {})

    def _drop_zeros(self, group: str) -> None:
        kept = {name: amount for name, amount in self.groups[group].items() if amount}
        if kept:
            self.groups[group] = kept
        else:
            del self.groups[group]


def summed(groups: Sequence[Mapping[str, int]]) -> Mapping[str, int]:
    """One group of several cells in one. Never one to change: of a single cell it is that cell's own."""
    if len(groups) == 1:
        return groups[0]
    total: dict[str, int] = {}
    for group in groups:
        for name, amount in group.items():
            total[name] = total.get(name, 0) + amount
    return total


def sums_text(sums: RunSums) -> str:
    """As they are kept: JSON."""
    groups = {group: _exact(of) for group, of in sums.groups.items()}
    return orjson.dumps({**groups, "users": sums.users.text()}, option=orjson.OPT_SORT_KEYS).decode()


def read_sums(text: str) -> RunSums:
    """As they were kept. Raises ValueError for anything else."""
    document: dict[str, Any] = orjson.loads(text)
    users = Users.read(document.pop("users"))
    for group in _LARGE & document.keys():
        document[group] = {name: int(amount) for name, amount in document[group].items()}
    return RunSums(document, users)


def _exact(sums: Mapping[str, int]) -> Mapping[str, int | str]:
    """With what JSON does not carry exactly as text; only sums of `_LARGE` groups come to so much."""
    if max(sums.values()) <= _MOST_EXACT and min(sums.values()) >= -_MOST_EXACT:
        return sums
    return {name: amount if abs(amount) <= _MOST_EXACT else str(amount) for name, amount in sums.items()}


def merged(cells: Iterable[RunSums]) -> RunSums:
    """All of them in one."""
    total = RunSums()
    for sums in cells:
        total.merge(sums)
    return total
