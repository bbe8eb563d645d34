"""What every store promises about what traffic leaves behind: runs, histograms, the spend ledger (proxy/store/ports)."""

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.core.calls.runs import only_attempt
from proxy.core.errors import BadInput, Conflict
from proxy.core.spending.caps import CounterKey
from proxy.core.spending.ledger import Hold, Lease, LedgerWrites
from tests.store.given import (
    MINUTE,
    NOON,
    attempt,
    audited,
    batch,
    cap,
    run,
    settled,
)


class TestRuns:
    async def test_come_back_equal_to_what_was_recorded(self, store):
        recorded = run(
            "run-1",
            tags={"tenant": "acme", "channel": "émail"},
            tool_calls=("lookup", "lookup"),
            tool_call_count=2,
            dropped_parameters=("temperature",),
            sent_variables=("name", "tone"),
            streamed=True,
            in_analysis=True,
            finish="tool_call",
            cost_nanodollars=2**62,
            user="u1",
            bucket=99_999,
            time_to_first_byte_microseconds=12,
        )
        await store.record_runs([recorded], [attempt("run-1", 2), attempt("run-1", 1)])
        assert await store.run("run-1") == recorded
        assert await store.attempts("run-1") == [attempt("run-1", 1), attempt("run-1", 2)]
        assert await store.run("run-2") is None

    async def test_tell_of_the_one_attempt_that_ended_as_they_did(self, store):
        ordinary = run("run-1", provider="openai", model_asked="gpt-4o-mini", provider_duration_microseconds=70)
        refused = run("run-2", provider="openai")
        await store.record_runs([ordinary, refused], [])
        assert await store.attempts("run-1") == [only_attempt(ordinary)]
        assert await store.attempts("run-2") == []
        assert await store.attempts("nobody") == []
        broken = run("run-3", status=502, provider="openai", provider_duration_microseconds=70)
        await store.record_runs([broken], [attempt("run-3")])
        assert await store.attempts("run-3") == [attempt("run-3")]

    async def test_recorded_twice_stay_as_they_were_first(self, store):
        await store.record_runs([run("run-1", status=200)], [attempt("run-1")])
        await store.record_runs([run("run-1", status=500), run("run-2"), run("run-2", status=500)], [attempt("run-1")])
        assert [(await store.run(run_id)).status for run_id in ("run-1", "run-2")] == [200, 200]

    async def test_with_what_no_database_can_hold_are_recorded_all_the_same(self, store):
        odd = run("run-1", user="a\ud800b", input_tokens=10**30, tags={"k\udfff": "v"}, model_answered="nul\x00")
        await store.record_runs([run("run-0"), odd, run("run-2")], [attempt("run-1")])
        stored = await store.run("run-1")
        assert (stored.user, stored.input_tokens, stored.tags) == ("a?b", 2**63 - 1, {"k?": "v"})
        assert stored.model_answered == "nul\x00"
        assert await store.run("run-2") is not None

    async def test_are_listed_newest_first_page_by_page_also_at_equal_times(self, store):
        await store.record_runs(
            [run(f"run-{index}", started_at_microseconds=NOON + index // 3) for index in range(9)], []
        )
        seen: list[str] = []
        cursor = None
        while True:
            page = await store.runs(RunFilter(agent="support"), cursor, limit=2)
            seen += [found.id for found in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == [f"run-{index}" for index in reversed(range(9))]

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (RunFilter(), ["r5", "r4", "r3", "r2", "r1"]),
            (RunFilter(agent="other"), ["r3"]),
            (RunFilter(agent="support", version=2), ["r4"]),
            (RunFilter(agent="support", release=3), ["r5"]),
            (RunFilter(agent="support", rollout="r1", arm="candidate"), ["r4"]),
            (RunFilter(user="u1"), ["r2", "r1"]),
            (RunFilter(conversation="c1"), ["r2"]),
            (RunFilter(request_id="q4"), ["r4"]),
            (RunFilter(trace_id="t"), ["r4", "r3"]),
            (RunFilter(trace_id="t", agent="other"), ["r3"]),
            (RunFilter(result="error"), ["r1"]),
            (RunFilter(kind="drill"), ["r2"]),
            (RunFilter(agent="support", kind="live"), ["r5", "r4", "r1"]),
            (RunFilter(from_microseconds=NOON + 2, to_microseconds=NOON + 4), ["r3", "r2"]),
        ],
    )
    async def test_are_narrowed_by_what_is_asked_for(self, store, wanted, expected):
        found_by = {"request_id": "q4", "trace_id": "t"}
        await store.record_runs(
            [
                run("r1", user="u1", result="error", started_at_microseconds=NOON + 1),
                run("r2", user="u1", conversation="c1", kind="drill", started_at_microseconds=NOON + 2),
                run("r3", agent="other", trace_id="t", started_at_microseconds=NOON + 3),
                run("r4", version=2, rollout="r1", arm="candidate", **found_by, started_at_microseconds=NOON + 4),
                run("r5", release=3, started_at_microseconds=NOON + 5),
            ],
            [],
        )
        assert [found.id for found in (await store.runs(wanted)).items] == expected

    @pytest.mark.parametrize("cursor", ["x", "%%%", "W10", "WyJhIl0", "bnVsbA", "WzEsICJhIl0", "W3RydWUsICJhIl0", "é"])
    async def test_a_cursor_that_is_not_ours_is_refused(self, store, cursor):
        with pytest.raises(BadInput) as refused:
            await store.runs(RunFilter(), cursor)
        assert refused.value.code == "bad_cursor"

    @pytest.mark.parametrize("limit", [-1, 0, 1, 10**9])
    async def test_a_page_has_at_least_one_and_at_most_500(self, store, limit):
        await store.record_runs([run(f"run-{index:03}") for index in range(510)], [])
        assert len((await store.runs(RunFilter(), limit=limit)).items) == max(1, min(limit, 500))


class TestTheLedger:
    @pytest.fixture
    async def limits(self, store):
        async with audited(store) as change:
            await change.insert_cap(cap("c1", window="minute"))
            await change.insert_cap(cap("c2", unit="in_flight"))

    async def test_counts_open_holds_in_full_and_settled_ones_as_settled(self, store, limits):
        early, late = CounterKey("c1", 0), CounterKey("c1", MINUTE, "u1")
        await held(store, Hold("a1", early, "usd", 70, NOON), Hold("a1", late, "usd", 30, NOON))
        await held(store, Hold("a2", early, "usd", 5, NOON))
        await store.write_ledger(LedgerWrites(settlements=[settled("a1", early, 70, 7)]))
        assert await store.spent(cap("c1"), 0) == {early: 12, late: 30}
        assert await store.spent(cap("c1"), MINUTE) == {late: 30}

    async def test_settles_a_hold_once(self, store, limits):
        key = CounterKey("c1", 0)
        await held(store, Hold("a1", key, "usd", 70, NOON))
        await store.write_ledger(LedgerWrites(settlements=[settled("a1", key, 70, 7), settled("a1", key, 70, 8)]))
        await store.write_ledger(LedgerWrites(settlements=[settled("a1", key, 70, 9, settled_by="held")]))
        assert await store.spent(cap("c1"), 0) == {key: 7}

    async def test_writes_whole_what_was_never_written_open(self, store, limits):
        key = CounterKey("c1", 0)
        rows = [settled(f"a{number:03}", key, 70, number) for number in range(300)]
        await store.write_ledger(LedgerWrites(settlements=rows))
        await store.write_ledger(LedgerWrites(settlements=rows[:40]))
        assert await store.spent(cap("c1"), 0) == {key: sum(range(300))}
        assert await store.recover_holds(NOON) == 0

    async def test_counts_a_batch_once_however_often_it_is_written(self, store, limits):
        early, late = CounterKey("c1", 0), CounterKey("c1", MINUTE, "u1")
        batches = [batch(early, ("a1", 3), ("a2", 4)), batch(late, ("a1", 5))]
        for _ in range(2):
            await store.write_ledger(LedgerWrites(batches=batches))
        await store.write_ledger(LedgerWrites(batches=[batch(early, ("a3", 10))]))
        await held(store, Hold("a4", early, "usd", 100, NOON))
        assert await store.spent(cap("c1"), 0) == {early: 117, late: 5}
        assert await store.recover_holds(NOON) == 1
        assert await store.spent(cap("c1"), 0) == {early: 117, late: 5}

    async def test_shows_every_hold_in_one_view_written_alone_or_in_a_batch(self, store, limits, rows):
        key = CounterKey("c1", 0)
        await store.write_ledger(
            LedgerWrites(settlements=[settled("a1", key, 1_000, 3)], batches=[batch(key, ("a2", 4), ("a3", 5))])
        )
        alike = ("c1", 0, "")
        assert rows("SELECT * FROM holds ORDER BY attempt") == [
            (*alike, f"a{number + 1}", "usd", 1_000, NOON, spent, "reported", NOON)
            for number, spent in enumerate((3, 4, 5))
        ]

    async def test_takes_a_hold_placed_again_as_one_hold(self, store, limits):
        key = CounterKey("c1", 0)
        for amount in (70, 80, 60):
            await held(store, Hold("a1", key, "usd", amount, NOON))
        assert await store.spent(cap("c1"), 0) == {key: 80}

    async def test_charges_what_a_dead_process_held_in_full_but_not_calls_in_flight(self, store, limits):
        money, flight = CounterKey("c1", 0), CounterKey("c2", 0)
        await held(
            store,
            Hold("a1", money, "usd", 70, NOON),
            Hold("a2", money, "usd", 5, NOON),
            Hold("a1", flight, "in_flight", 1, NOON),
        )
        await store.write_ledger(LedgerWrites(settlements=[settled("a2", money, 5, 3)]))
        assert await store.recover_holds(NOON) == 2
        assert await store.recover_holds(NOON) == 0
        assert await store.spent(cap("c1"), 0) == {money: 73}
        assert await store.spent(cap("c2"), 0) == {flight: 0}

    async def test_charges_what_a_dead_process_had_leased_once_and_by_the_last_word_on_each_lease(self, store, limits):
        early, late = CounterKey("c1", 0), CounterKey("c1", MINUTE, "u1")
        await store.write_ledger(LedgerWrites(leases=[Lease(early, "usd", 100), Lease(late, "usd", 50)]))
        await store.write_ledger(LedgerWrites(leases=[Lease(early, "usd", 40), Lease(late, "usd", 0)]))
        assert await store.spent(cap("c1"), 0) == {}
        assert await store.recover_holds(NOON) == 1
        assert await store.spent(cap("c1"), 0) == {early: 40}
        assert await store.recover_holds(NOON) == 0

        await store.write_ledger(LedgerWrites(leases=[Lease(early, "usd", 2)]))
        assert await store.recover_holds(NOON) == 1
        assert await store.spent(cap("c1"), 0) == {early: 42}

    async def test_of_a_cap_nobody_made_is_refused(self, store):
        with pytest.raises(Conflict):
            await held(store, Hold("a1", CounterKey("nobody", 0), "usd", 1, NOON))

    async def test_of_amounts_no_database_holds_is_refused_whole(self, store, limits):
        key = CounterKey("c1", 0)
        with pytest.raises(BadInput):
            await held(store, Hold("a1", key, "usd", 1, NOON), Hold("a2", key, "usd", 2**63, NOON))
        assert await store.spent(cap("c1"), 0) == {}


async def held(store, *holds: Hold) -> None:
    await store.write_ledger(LedgerWrites(holds))
