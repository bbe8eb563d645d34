"""Where chains began outlives the process: written behind, bounded, and loaded before calls are taken."""

import asyncio
from pathlib import Path

import pytest

from proxy.core.calls.chains import ChainBeginning
from proxy.core.errors import Unavailable
from proxy.runtime.calls.conversations import CHAIN_LIFETIME_MICROSECONDS, Chains
from proxy.runtime.kept_chains import KeptChains
from proxy.runtime.process.clock import SystemClock
from proxy.store.sqlite import SqliteStore

DAY = 24 * 3_600_000_000
ONE, TWO = ChainBeginning("a", "prod", 1), ChainBeginning("a", "prod", 2, "r1", "candidate")
OTHERS = ChainBeginning("b", "prod", 7)


def now() -> int:
    return SystemClock().now_microseconds()


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    return store


async def test_what_was_noted_is_known_after_a_restart_also_of_a_crash_after_it_was_written(tmp_path: Path) -> None:
    store, chains = await opened(tmp_path / "s.db"), Chains()
    kept = KeptChains(store, chains, SystemClock())
    await kept.load()
    chains.note("resp_1", ONE, now())
    chains.note("resp_1", OTHERS, now())
    chains.note("conv_1", TWO, now())
    await kept.write()
    await store.close()
    again, found = await opened(tmp_path / "s.db"), Chains()
    await KeptChains(again, found, SystemClock()).load()
    await again.close()
    assert found.beginning("a", "resp_1", now()) == ONE
    assert found.beginning("b", "resp_1", now()) == OTHERS
    assert found.beginning("a", "conv_1", now()) == TWO
    assert found.beginning("b", "conv_1", now()) is None


async def test_the_newest_news_of_a_chain_holds_in_memory_and_in_the_store(tmp_path: Path) -> None:
    store, chains = await opened(tmp_path / "s.db"), Chains()
    await store.keep_chains([("c", TWO, 20)])
    await store.keep_chains([("c", ONE, 10)])
    assert await store.chains(0, 9) == [("c", TWO, 20)]
    chains.heard("c", TWO, 20)
    chains.heard("c", ONE, 10)
    assert chains.beginning("a", "c", 30) == TWO
    await store.close()


async def test_the_oldest_go_first_by_age_and_by_number(tmp_path: Path) -> None:
    store = await opened(tmp_path / "s.db")
    await store.keep_chains([(f"c{at}", ONE, at) for at in range(10)])
    assert [chain for chain, _, _ in await store.chains(3, 4)] == ["c6", "c7", "c8", "c9"]
    assert await store.drop_chains(2, 100, 50) == 2
    assert await store.drop_chains(0, 5, 2) == 2
    assert await store.drop_chains(0, 5, 50) == 1
    assert [chain for chain, _, _ in await store.chains(0, 100)] == ["c5", "c6", "c7", "c8", "c9"]
    await store.close()


def test_a_table_forgets_what_is_a_month_old_or_too_much_and_counts_that() -> None:
    chains = Chains(max_entries=2)
    for chain in ("one", "two", "three"):
        chains.note(chain, ONE, 0)
    assert (chains.beginning("a", "one", 1), chains.evictions) == (None, 1)
    assert chains.beginning("a", "two", CHAIN_LIFETIME_MICROSECONDS) == ONE
    assert chains.beginning("a", "two", CHAIN_LIFETIME_MICROSECONDS + 1) is None


def test_only_news_is_told() -> None:
    told: list[tuple[str, ChainBeginning, int]] = []
    chains = Chains()
    chains.on_beginning(lambda *news: told.append(news))
    for at in (0, 1, DAY, DAY + 2, DAY + 3):
        chains.note("c", ONE, at)
    chains.note("c", TWO, DAY + 4)
    assert told == [("c", ONE, 0), ("c", ONE, DAY + 2), ("c", TWO, DAY + 4)]


class AwayChains:
    """A store that is away until it is back."""

    def __init__(self, store: SqliteStore) -> None:
        self.store: SqliteStore | None = None
        self.real = store

    async def chains(self, since_microseconds: int, most: int) -> object:
        return await self._there().chains(since_microseconds, most)

    async def keep_chains(self, kept: object) -> None:
        await self._there().keep_chains(kept)  # type: ignore[arg-type]

    def _there(self) -> SqliteStore:
        if self.store is None:
            raise Unavailable("store_unavailable", "away")
        return self.store


class SilentChains(AwayChains):
    """A store that never answers."""

    async def chains(self, since_microseconds: int, most: int) -> object:
        await asyncio.Event().wait()
        return []


async def test_a_start_does_not_wait_for_a_store_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.runtime.kept_chains._LOAD_SECONDS", 0.01)
    silent, chains = SilentChains(await opened(tmp_path / "s.db")), Chains()
    kept = KeptChains(silent, chains, SystemClock())  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        await kept.load()
    chains.note("c", ONE, 5)
    assert chains.beginning("a", "c", 6) == ONE
    await silent.real.close()


async def test_with_the_store_away_news_waits_for_it(tmp_path: Path) -> None:
    away, chains = AwayChains(await opened(tmp_path / "s.db")), Chains()
    kept = KeptChains(away, chains, SystemClock())  # type: ignore[arg-type]
    await kept.load()
    chains.note("c", ONE, 5)
    await kept.write()
    chains.note("d", ONE, 6)
    away.store = away.real
    await kept.write()
    assert [chain for chain, _, _ in await away.real.chains(0, 9)] == ["c", "d"]
    await away.real.close()
