"""The sums that reports read come to what counting all runs again would, whatever happened in which order."""

import dataclasses
import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.core.calls.latency import latency_bucket
from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.runs import Run
from proxy.core.reports.sums import DAY_MICROSECONDS, HOUR_MICROSECONDS, Cell, RunSums, Users
from proxy.store.ports.reports import SumsFilter
from proxy.store.sqlite import SqliteStore
from proxy.store.sqlite.runs import batches, pruning, run_sums
from tests.store.given import NOON, audited, run

HOUR = HOUR_MICROSECONDS
#: The first whole day after NOON, so that there are whole days and parts of some.
MIDNIGHT = NOON + -NOON % DAY_MICROSECONDS
START = MIDNIGHT - 5 * HOUR
END = MIDNIGHT + 2 * DAY_MICROSECONDS + 5 * HOUR
EVERYTHING = SumsFilter(agent="support", from_microseconds=START, to_microseconds=END)


def some_run(rng: random.Random, number: int) -> Run:
    result, error = rng.choice(
        [
            ("ok", None),
            ("ok", None),
            ("error", "provider_error"),
            ("error", "stream_broken"),
            ("refused", "spend_cap_exceeded"),
        ]
    )
    arm = rng.choice([None, "stable", "candidate"])
    return run(
        f"r{number:05}",
        agent=rng.choice(["support", "support", "other"]),
        version=rng.choice([None, 1, 2]),
        label=rng.choice([None, "prod"]),
        rollout=None if arm is None else "r1",
        step=None if arm is None else rng.randrange(2),
        arm=arm,
        in_analysis=rng.random() < 0.9,
        kind=rng.choice(["live", "live", "live", "shadow"]),
        result=result,
        error_class=error,
        status=200 if result == "ok" else 500,
        finish=rng.choice([None, "stop", "length", "filtered"]),
        started_at_microseconds=rng.randrange(START, END),
        duration_microseconds=rng.randrange(1, 5_000_000),
        time_to_first_byte_microseconds=rng.choice([None, rng.randrange(1, 500_000)]),
        user=rng.choice([None, f"u{rng.randrange(30)}"]),
        conversation=rng.choice([None, f"c{rng.randrange(30)}"]),
        input_tokens=rng.choice([None, 10]),
        cached_tokens=rng.choice([None, 3]),
        output_tokens=rng.choice([None, 0, 7, 2**62]),
        cost_nanodollars=rng.choice([None, rng.randrange(10**9), 2**62]),
        quarantined=rng.random() < 0.1,
    )  # fmt: skip


def told(rng: random.Random, number: int, runs: Sequence[Run]) -> Outcome:
    name, value = rng.choice(
        [("solved", True), ("solved", False), ("score", rng.uniform(-5, 5)), ("score", 2**53), ("note", "text")]
    )
    of = rng.choice(runs).id if runs and rng.random() < 0.9 else "nobody's"
    return Outcome(
        id=f"out_{number:05}",
        run=of,
        name=name,
        value=value,
        severity=None,
        why="why",
        recorded_by="ada",
        recorded_at_microseconds=NOON,
    )


class UndoneError(Exception):
    """Ends a transaction."""


class SumsHistory:
    """A store and, beside it, every run and outcome that is or was in it."""

    def __init__(self, database: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.database = database
        self.store = SqliteStore(database)
        self.runs: dict[str, Run] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.pruned: set[str] = set()
        self.told = 0

    async def record(self) -> None:
        batch = [some_run(self.rng, len(self.runs) + n) for n in range(self.rng.randrange(1, 12))]
        # After an answer that did not come a batch is written again.
        again = self.rng.sample(batch, self.rng.choice([0, 0, 0, 1]))
        await self.store.record_runs([*batch, *again], [])
        if again:
            await self.store.record_runs(again, [])
        self.runs |= {one.id: one for one in batch}

    async def tell(self) -> None:
        there = [one for one in self.runs.values() if one.id not in self.pruned]
        batch = [told(self.rng, self.told + n, there) for n in range(self.rng.randrange(1, 5))]
        self.told += len(batch)
        for _ in range(2):
            unknown = await self.store.record_outcomes(batch)
        self.outcomes |= {one.id: one for one in batch if one.run not in unknown}

    async def quarantine(self) -> None:
        there = [one for one in self.runs if one not in self.pruned]
        some = self.rng.sample(there, min(len(there), 4))
        mark = self.rng.random() < 0.6
        async with audited(self.store) as change:
            await change.quarantine_runs(some, mark)
        self.runs |= {one: replace(self.runs[one], quarantined=mark) for one in some}

    async def sum_up(self) -> None:
        await self.store.sum_up_runs()

    async def undo(self) -> None:
        """A transaction that did its work and was undone, as where the disk is full at its end."""
        store = self.store
        batch = [some_run(self.rng, len(self.runs) + n) for n in range(self.rng.randrange(1, 12))]
        there = [one for one in self.runs.values() if one.id not in self.pruned]
        undone = [told(self.rng, self.told + n, there) for n in range(3)]
        work = self.rng.choice(
            [
                lambda plain: batches.write_runs(plain, store._lanes, store._counted, batch, []),
                lambda plain: batches.write_outcomes(plain, store._counted, undone),
                lambda plain: run_sums.sum_up(plain, store._counted),
                lambda plain: pruning.prune_runs(plain, store._counted, END),
            ]
        )

        def undoing(plain: sqlite3.Connection) -> None:
            work(plain)
            raise UndoneError

        with pytest.raises(UndoneError):
            await store._database.write(undoing)

    async def prune(self) -> None:
        await self.store.prune_runs(self.rng.randrange(START, END))
        with closing(sqlite3.connect(self.database)) as plain:
            there = {row[0] for row in plain.execute("SELECT id FROM run_records")}
        self.pruned = self.runs.keys() - there

    async def restart(self) -> None:
        await self.store.close()
        await self.open()

    async def forget_that_there_were_sums(self) -> None:
        """As when a database is migrated: nothing of what is there is in a sum. Only before anything was pruned."""
        if self.pruned:
            return
        await self.store.close()
        with closing(sqlite3.connect(self.database)) as plain, plain:
            plain.execute("DELETE FROM run_sums")
            newest = "(SELECT COALESCE(MAX(number), 0) FROM run_records)"
            plain.execute(f"UPDATE run_sum_marks SET summed_from = {newest} + 1, summed_to = {newest}")
        await self.open()

    async def open(self) -> None:
        self.store = SqliteStore(self.database)
        await self.store.open()

    def counted(self, cell_of: int, agent: str = "support") -> dict[Cell, dict[str, object]]:
        """By hour or day (microseconds): the plain way, run by run."""
        cells: dict[Cell, Counter[str]] = {}
        users: dict[Cell, set[str]] = {}
        for one in self.runs.values():
            if one.agent != agent or one.kind != "live":
                continue
            start = one.started_at_microseconds - one.started_at_microseconds % cell_of
            step = -1 if one.step is None else one.step
            cell = Cell(one.agent, start, one.version or 0, one.label or "", one.rollout or "", step, one.arm or "")
            sums = cells.setdefault(cell, Counter())
            users.setdefault(cell, set()).update([one.user or one.conversation] if one.user or one.conversation else [])
            if not one.quarantined:
                self._count(sums, one)
        return {
            cell: {**{k: v for k, v in sums.items() if v}, "users": len(users[cell])} for cell, sums in cells.items()
        }

    def _count(self, sums: Counter[str], one: Run) -> None:
        for outcome in (out for out in self.outcomes.values() if out.run == one.id):
            kind = {bool: "flag", str: "text"}.get(type(outcome.value), "number")
            sums[f"{outcome.name} {kind}"] += 1
            if kind == "number":
                sums[f"{outcome.name} sum"] += round(outcome.value * 1e6)
            elif kind == "flag":
                sums[f"{outcome.name} true"] += bool(outcome.value)
        if one.result == "refused":
            sums["blocked"] += 1
            return
        sums["runs"] += 1
        sums["errors"] += one.result == "error"
        sums["refusals"] += one.finish == "filtered"
        sums["cost"] += min(one.cost_nanodollars or 0, 2**50)
        sums["in clusters"] += bool(one.user or one.conversation) and (one.rollout is None or one.in_analysis)
        if one.result == "ok":
            sums[f"latency {latency_bucket(one.duration_microseconds)}"] += 1
            sums["tokens"] += min(one.output_tokens or 0, 2**50)


def seen(sums: RunSums) -> dict[str, object]:
    """The same figures from the sums."""
    outcomes = Counter[str]()
    for group, kind in (
        ("outcome_true", "flag"),
        ("outcome_false", "flag"),
        ("outcome_numbers", "number"),
        ("outcome_other", "text"),
    ):
        for name, amount in sums.of(group).items():
            outcomes[f"{name} {kind}"] += amount
    shown = {
        **outcomes,
        **{f"{name} sum": amount for name, amount in sums.of("outcome_sum").items()},
        **{f"{name} true": amount for name, amount in sums.of("outcome_true").items()},
        **{f"latency {bucket}": amount for bucket, amount in sums.of("latency").items()},
        "blocked": sums.get("counts", "blocked"),
        "runs": sums.get("counts", "runs"),
        "errors": sums.get("bad", "errors"),
        "refusals": sums.get("bad", "refusals"),
        "cost": sums.get("counts", "cost_nanodollars"),
        "in clusters": sum(sums.of("cluster_runs").values()),
        "tokens": sums.get("counts", "output_tokens"),
    }  # fmt: skip
    return {**{name: amount for name, amount in shown.items() if amount}, "users": sums.users.count()}


def by_cell(cells: Sequence[tuple[Cell, RunSums]], span: int) -> dict[Cell, dict[str, object]]:
    whole: dict[Cell, RunSums] = {}
    for cell, sums in cells:
        start = cell.start_microseconds - cell.start_microseconds % span
        whole.setdefault(cell._replace(start_microseconds=start), RunSums()).merge(sums)
    return {cell: seen(sums) for cell, sums in whole.items()}


ACTIONS = (
    "record",
    "record",
    "tell",
    "quarantine",
    "sum_up",
    "prune",
    "undo",
    "restart",
    "forget_that_there_were_sums",
)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_sums, "_RUNS_A_STEP", 7)
    monkeypatch.setattr(run_sums, "_RUNS_AWAITED", 5)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(12))
async def test_sums_are_what_counting_again_comes_to_after_any_history(database, seed):
    history = SumsHistory(database, seed)
    await history.store.open()
    try:
        await history.record()
        for _ in range(60):
            await getattr(history, history.rng.choice(ACTIONS))()
        while await history.store.sum_up_runs():
            pass
        by_day = await history.store.summed_runs(EVERYTHING)
        by_hour = await history.store.summed_runs(
            SumsFilter(agent="support", from_microseconds=START, to_microseconds=END, by_hour=True)
        )
        assert by_day.unfilled_before_microseconds is None
        assert by_cell(by_hour.cells, HOUR) == history.counted(HOUR)
        assert by_cell(by_day.cells, DAY_MICROSECONDS) == history.counted(DAY_MICROSECONDS)
    finally:
        await history.store.close()


@pytest.mark.usefixtures("small_steps")
async def test_what_was_counted_when_it_was_written_is_not_read_back(database, monkeypatch):
    history, read = SumsHistory(database, 3), []
    usual = run_sums._counted
    monkeypatch.setattr(
        run_sums, "_counted", lambda plain, lines, *sign: read.append(lines) or usual(plain, lines, *sign)
    )
    await history.store.open()
    try:
        for number in range(20):
            batch = [some_run(history.rng, 10 * number + n) for n in range(10)]
            history.runs |= {one.id: one for one in batch}
            await history.store.record_runs(batch, [])
            await history.tell()
            while await history.store.sum_up_runs():
                pass
        assert not any(read)
        found = (await history.store.summed_runs(EVERYTHING)).cells
        assert by_cell(found, DAY_MICROSECONDS) == history.counted(DAY_MICROSECONDS)
    finally:
        await history.store.close()


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(3))
async def test_any_window_is_counted_to_the_microsecond_while_its_runs_are_there(database, seed):
    history = SumsHistory(database, seed)
    await history.store.open()
    try:
        for _ in range(20):
            await history.record()
            await history.sum_up()
        for _ in range(10):
            start, end = sorted(history.rng.randrange(START, END) for _ in range(2))
            window = SumsFilter(agent="support", from_microseconds=start, to_microseconds=end, rollout="r1")
            found = await history.store.summed_runs(window)
            inside = [
                one.id
                for one in history.runs.values()
                if start <= one.started_at_microseconds < end and one.agent == "support" and one.rollout == "r1"
                and one.kind == "live" and one.result != "refused" and not one.quarantined
            ]  # fmt: skip
            assert (found.from_microseconds, found.to_microseconds) == (start, end)
            assert sum(sums.get("counts", "runs") for _, sums in found.cells) == len(inside)
    finally:
        await history.store.close()


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("by_hour", [True, False])
async def test_what_is_asked_for_narrowly_is_the_part_of_all_that_it_names(database, by_hour):
    history = SumsHistory(database, 5)
    await history.store.open()
    try:
        for _ in range(30):
            await history.record()
            await history.sum_up()
        wanted = dataclasses.replace(EVERYTHING, by_hour=by_hour)
        everything = (await history.store.summed_runs(wanted)).cells
        for narrower in ({"versions": (2,)}, {"versions": (0, 1)}, {"label": "prod"}, {"rollout": "r1"},
                         {"versions": (1,), "label": "prod", "rollout": "r1"}, {"versions": ()}):  # fmt: skip
            found = (await history.store.summed_runs(dataclasses.replace(wanted, **narrower))).cells
            kept = [
                (cell, sums)
                for cell, sums in everything
                if cell.version in narrower.get("versions", (cell.version,))
                and cell.label == narrower.get("label", cell.label)
                and cell.rollout == narrower.get("rollout", cell.rollout)
            ]
            assert by_cell(found, HOUR) == by_cell(kept, HOUR)
            assert bool(kept) == (narrower.get("versions") != ())
    finally:
        await history.store.close()


@pytest.mark.usefixtures("small_steps")
async def test_where_runs_are_gone_the_whole_hour_is_told_and_the_window_says_so(store):
    runs = [run(f"r{n}", started_at_microseconds=MIDNIGHT + n * 60_000_000) for n in range(90)]
    await store.record_runs(runs, [])
    await store.prune_runs(MIDNIGHT + 30 * 60_000_000)
    found = await store.summed_runs(
        SumsFilter(
            agent=runs[0].agent,
            from_microseconds=MIDNIGHT + 45 * 60_000_000,
            to_microseconds=MIDNIGHT + DAY_MICROSECONDS,
        )
    )
    assert (found.from_microseconds, found.to_microseconds) == (MIDNIGHT, MIDNIGHT + DAY_MICROSECONDS)
    assert sum(sums.get("counts", "runs") for _, sums in found.cells) == 90


@pytest.mark.usefixtures("small_steps")
async def test_what_is_not_filled_yet_is_said_and_the_newest_comes_first(database):
    history = SumsHistory(database, 1)
    await history.store.open()
    try:
        runs = [run(f"r{n}", started_at_microseconds=MIDNIGHT + n * 60_000_000) for n in range(70)]
        history.runs = {one.id: one for one in runs}
        await history.store.record_runs(runs, [])
        await history.forget_that_there_were_sums()
        await history.store.sum_up_runs()
        found = await history.store.summed_runs(
            SumsFilter(agent=runs[0].agent, from_microseconds=MIDNIGHT, to_microseconds=MIDNIGHT + 2 * HOUR)
        )
        assert found.unfilled_before_microseconds == runs[62].started_at_microseconds + 1
        assert sum(sums.get("counts", "runs") for _, sums in found.cells) == 7
    finally:
        await history.store.close()


@given(st.lists(st.integers(0, 2**16 - 1), max_size=9000), st.lists(st.integers(0, 2**16 - 1), max_size=50))
@settings(max_examples=20)
def test_users_are_kept_and_merged_alike_however_many_there_are(some, others):
    one, two, both = Users(), Users(), Users()
    one.add(some)
    two.add(others)
    both.add([*some, *others])
    one.merge(Users.read(two.text()))
    assert Users.read(one.text()) == both
    assert both.count() is not None
