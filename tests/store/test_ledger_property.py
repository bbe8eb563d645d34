"""The ledger against a simple model: whatever is placed, settled, settled twice, written in batches, leased or recovered, in whatever order."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import Hold, Lease, LedgerWrites
from proxy.store.sqlite import SqliteStore
from tests.store.given import NOON, audited, batch, cap, settled

CAPS = {"money": cap("money", window="hour"), "flight": cap("flight", unit="in_flight")}

keys = st.builds(
    CounterKey, st.sampled_from(sorted(CAPS)), st.sampled_from([0, 3_600_000_000]), st.sampled_from(["", "u1", "ü'2"])
)
attempts = st.sampled_from([f"a{number}" for number in range(6)])
amounts = st.integers(0, 1_000)
placing = st.tuples(st.just("place"), st.lists(st.tuples(attempts, keys, amounts), max_size=5))
settling = st.tuples(st.just("settle"), st.lists(st.tuples(attempts, keys, amounts), max_size=5))
batching = st.tuples(st.just("batch"), st.lists(st.tuples(st.just("b"), keys, amounts), max_size=5))
leasing = st.tuples(st.just("lease"), st.lists(st.tuples(st.just(""), keys, amounts), max_size=3))
recovering = st.tuples(st.just("recover"), st.just([]))
#: Up to which moment what is settled is carried: before everything, or after.
carrying = st.tuples(st.just("carry"), st.sampled_from([NOON, NOON + 1]))
reopening = st.tuples(st.just("reopen"), st.just([]))


@dataclass
class LedgerModel:
    """Three dictionaries: what is held, what is spent, what is leased."""

    held: dict[tuple[str, CounterKey], int] = field(default_factory=dict)
    spent: dict[tuple[str, CounterKey], int] = field(default_factory=dict)
    leases: dict[CounterKey, int] = field(default_factory=dict)
    recoveries: int = 0
    batches: int = 0
    carries: int = 0

    def place(self, attempt, key, amount):
        if (attempt, key) not in self.spent:
            self.held[attempt, key] = max(amount, self.held.get((attempt, key), 0))

    def settle(self, attempt, key, amount):
        self.held.pop((attempt, key), None)
        self.spent.setdefault((attempt, key), amount)

    def recover(self):
        self.recoveries += 1
        leases = {key: amount for key, amount in self.leases.items() if amount}
        count = len(self.held) + len(leases)
        self.spent |= {(f"lease {self.recoveries}", key): amount for key, amount in leases.items()}
        self.leases = {}
        for (attempt, key), amount in self.held.items():
            self.spent[attempt, key] = 0 if key.cap == "flight" else amount
        self.held = {}
        return count

    def carry(self):
        """What is carried cannot be told from what comes later under the same name: it was written for certain."""
        self.carries += 1
        self.spent = {(f"carried {self.carries} {name}", key): amount for (name, key), amount in self.spent.items()}

    def sums(self, cap_id, from_window):
        sums: dict[CounterKey, int] = {}
        for rows in (self.held, self.spent):
            for (_, key), amount in rows.items():
                if key.cap == cap_id and key.window_start_microseconds >= from_window:
                    sums[key] = sums.get(key, 0) + amount
        return sums


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(placing, settling, settling, batching, batching, leasing, recovering, carrying, carrying, reopening),
        max_size=12,
    )
)
def test_sums_are_those_of_a_simple_model(steps):
    asyncio.run(_play(steps))


async def _play(steps) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, model = SqliteStore(Path(folder) / "switchback.db"), LedgerModel()
        await store.open()
        try:
            async with audited(store) as change:
                for limit in CAPS.values():
                    await change.insert_cap(limit)
            for verb, rows in steps:
                await _step(store, model, verb, rows)
                for cap_id, limit in CAPS.items():
                    for from_window in (0, 1):
                        assert await store.spent(limit, from_window) == model.sums(cap_id, from_window)
        finally:
            await store.close()


async def _step(store: SqliteStore, model: LedgerModel, verb: str, rows) -> None:
    match verb:
        case "place":
            holds = [Hold(name, key, CAPS[key.cap].unit, amount, NOON) for name, key, amount in rows]
            await store.write_ledger(LedgerWrites(holds))
            for name, key, amount in rows:
                model.place(name, key, amount)
        case "settle":
            ended = [settled(name, key, 1_000, amount, unit=CAPS[key.cap].unit) for name, key, amount in rows]
            await store.write_ledger(LedgerWrites(settlements=ended))
            for name, key, amount in rows:
                model.settle(name, key, amount)
        case "batch":
            model.batches += 1
            entries: dict[CounterKey, list[tuple[str, int]]] = {}
            for index, (name, key, amount) in enumerate(rows):
                entries.setdefault(key, []).append((f"{name}{model.batches}.{index}", amount))
                model.settle(f"{name}{model.batches}.{index}", key, amount)
            batches = [batch(key, *spent, unit=CAPS[key.cap].unit) for key, spent in entries.items()]
            for _ in range(2):
                await store.write_ledger(LedgerWrites(batches=batches))
        case "lease":
            leases = {key: amount for _, key, amount in rows if key.cap != "flight"}
            await store.write_ledger(LedgerWrites(leases=[Lease(key, "usd", leases[key]) for key in leases]))
            model.leases |= leases
        case "recover":
            assert await store.recover_holds(NOON) == model.recover()
        case "carry":
            await _carry(store, model, rows)
        case _:
            await store.close()
            await store.open()


async def _carry(store: SqliteStore, model: LedgerModel, settled_before: int) -> None:
    carried, after = 0, None
    while True:
        step = await store.carry_sums(settled_before, after)
        assert step.unproven == 0
        carried, after = carried + step.holds, step.after
        if after is None:
            break
    if settled_before > NOON:
        model.carry()
    else:
        assert carried == 0
