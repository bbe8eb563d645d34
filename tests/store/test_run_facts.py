"""What is said about runs afterwards, and the record from its beginning: what every store promises of them."""

import pytest

from proxy.core.calls.outcomes import Outcome
from proxy.core.calls.run_filter import OutcomeFilter, RunFilter, RunName
from proxy.core.errors import BadInput
from proxy.store.ports.changes import UnauditedChange
from proxy.store.sqlite.runs import outcome_lists
from tests.store.given import NOON, an_agent, audited, run


def outcome(number: int, run_id: str = "r1", value: object = 0.5) -> Outcome:
    return Outcome(
        id=f"out_{number:04}",
        run=run_id,
        name="score",
        value=value,  # type: ignore[arg-type]
        severity=None,
        why="a good one \U0001f600",
        recorded_by="ada",
        recorded_at_microseconds=NOON + number,
    )


class TestOutcomes:
    async def test_runs_are_looked_up_by_their_ids_at_once(self, store):
        await store.record_runs([run("r1"), run("r2"), run("r3")], [])
        found = await store.runs_by_id(["r2", "nobody", "r1", "r2"])
        assert found == {name: await store.run(name) for name in ("r1", "r2")}
        assert await store.runs_by_id([]) == {}

    async def test_the_newest_run_of_a_request_a_trace_or_a_conversation_is_found_of_one_agent_or_of_any(self, store):
        named = {"request_id": "req_1", "trace_id": "ab" * 16, "conversation": "c"}
        first, later = run("r1", **named), run("r2", **named, started_at_microseconds=NOON + 1)
        other = run("r3", agent="sales", conversation="c", started_at_microseconds=NOON + 2)
        shadow = run("r4", kind="shadow", **named, started_at_microseconds=NOON + 3)
        await store.record_runs([first, later, other, shadow, run("r5")], [])
        names = [RunName("request_id", "req_1"), RunName("trace_id", "ab" * 16), RunName("conversation", "c")]
        missing = [RunName("request_id", "c"), RunName("conversation", "d"), RunName("conversation", "c", "nobody")]
        ours = RunName("conversation", "c", first.agent)
        found = await store.newest_runs({*names, *missing, ours})
        assert found == {names[0]: "r2", names[1]: "r2", names[2]: "r3", ours: "r2"}
        assert await store.newest_runs(set()) == {}

    async def test_what_was_told_before_is_written_no_second_time(self, store):
        await store.record_runs([run("r1")], [])
        await store.record_outcomes([outcome(1)])
        writer, statements = store._database._opening.writer, list[str]()
        await writer.run(lambda plain: plain.set_trace_callback(statements.append))
        assert await store.record_outcomes([outcome(1), outcome(2, "r3")]) == ["r3"]
        await writer.run(lambda plain: plain.set_trace_callback(None))
        assert [statement for statement in statements if "INSERT" in statement or "run_sum" in statement] == []

    async def test_come_back_as_they_were_told_in_order(self, store):
        await store.record_runs([run("r1"), run("r2")], [])
        told = [outcome(number, value=value) for number, value in enumerate([0.5, 1, True, None, 'say "é"', -(2**53)])]
        assert await store.record_outcomes(told[1:]) == []
        assert await store.record_outcomes([told[0], outcome(9, "r2")]) == []
        found = await store.outcomes("r1")
        assert found == told
        assert [type(one.value) for one in found] == [type(one.value) for one in told]
        assert await store.outcomes("r3") == []

    async def test_of_runs_that_nobody_knows_are_named_and_left_out(self, store):
        await store.record_runs([run("r1")], [])
        told = [outcome(1, "r3"), outcome(2, "r1"), outcome(3, "r2"), outcome(4, "r3")]
        assert await store.record_outcomes(told) == ["r3", "r2"]
        assert await store.outcomes("r1") == [told[1]]
        assert await store.outcomes("r3") == []

    async def test_that_no_database_holds_are_refused_whole(self, store):
        await store.record_runs([run("r1")], [])
        with pytest.raises(BadInput):
            await store.record_outcomes([outcome(1), outcome(2, value="\ud800")])
        assert await store.outcomes("r1") == []


class TestOutcomesOfManyRuns:
    async def test_are_read_for_a_page_of_runs_at_once(self, store):
        await store.record_runs([run("r1"), run("r2"), run("r3")], [])
        told = [outcome(number, f"r{number % 2 + 1}") for number in range(6)]
        await store.record_outcomes(told[::-1])
        found = await store.outcomes_of(["r3", "r2", "r1", "nobody"])
        assert {run_id: (list(of.newest), of.count) for run_id, of in found.items()} == {
            "r1": (told[0::2], 3),
            "r2": (told[1::2], 3),
        }
        assert await store.outcomes_of([]) == {}

    async def test_are_the_newest_where_a_run_has_many(self, store):
        await store.record_runs([run("r1")], [])
        told = [outcome(number) for number in range(103)]
        await store.record_outcomes(told)
        found = (await store.outcomes_of(["r1"]))["r1"]
        assert (list(found.newest), found.count) == (told[3:], 103)

    async def test_are_listed_newest_first_page_by_page(self, store):
        await store.record_runs([run("r1", label="prod", version=4, arm="candidate")], [])
        told = [outcome(number) for number in range(7)]
        await store.record_outcomes(told)
        first = await store.served_outcomes(OutcomeFilter(), None, 4)
        await store.record_outcomes([outcome(9)])
        second = await store.served_outcomes(OutcomeFilter(), first.next_cursor, 4)
        assert [served.outcome for served in (*first.items, *second.items)] == told[::-1]
        assert second.next_cursor is None
        one = first.items[0]
        assert (one.agent, one.version, one.label, one.arm) == ("support", 4, "prod", "candidate")

    @pytest.mark.parametrize(
        ("narrowed", "found"),
        [
            ({"run": "r1"}, [3, 0]),
            ({"run": "nobody"}, []),
            ({"name": "score"}, [3, 2, 1, 0]),
            ({"name": "incident"}, []),
            ({"agent": "support"}, [3, 1, 0]),
            ({"agent": "support", "version": 4}, [3, 0]),
            ({"label": "staging"}, [1]),
            ({"from_microseconds": NOON + 1}, [3, 2, 1]),
            ({"to_microseconds": NOON + 1}, [0]),
            ({"from_microseconds": NOON + 1, "to_microseconds": NOON + 3, "agent": "support"}, [1]),
            ({"first_id": "out_0001", "before_id": "out_0003"}, [2, 1]),
            ({"first_id": "out_0003", "before_id": "out_0001"}, []),
        ],
    )
    async def test_are_narrowed_by_themselves_and_by_their_run(self, store, narrowed, found):
        runs = [run("r1", version=4), run("r2", version=5, label="staging"), run("r3", agent="other", version=4)]
        await store.record_runs(runs, [])
        await store.record_outcomes([outcome(number, f"r{number % 3 + 1}") for number in range(4)])
        page = await store.served_outcomes(OutcomeFilter(**narrowed))
        assert [served.outcome.recorded_at_microseconds - NOON for served in page.items] == found
        assert page.next_cursor is None

    async def test_that_are_rare_among_many_come_after_pages_without_any(self, store, monkeypatch):
        monkeypatch.setattr(outcome_lists, "LOOKED_AT", 3)
        await store.record_runs([run("r1"), run("r2", agent="rare")], [])
        await store.record_outcomes([outcome(number, "r2" if number in (1, 6) else "r1") for number in range(10)])
        found, pages, cursor = [], 0, None
        while pages == 0 or cursor is not None:
            page = await store.served_outcomes(OutcomeFilter(agent="rare"), cursor, 5)
            found += [served.outcome.id for served in page.items]
            pages, cursor = pages + 1, page.next_cursor
        assert found == ["out_0006", "out_0001"]
        assert pages == 4


class TestQuarantine:
    async def test_marks_what_is_not_marked_and_counts_it(self, store):
        await store.record_runs([run("r1"), run("r2"), run("r3", quarantined=True)], [])
        async with audited(store) as change:
            assert await change.quarantine_runs(["r1", "r3", "nobody"], True) == 1
        assert [found.id for found in (await store.runs(RunFilter(quarantined=True))).items] == ["r3", "r1"]
        async with audited(store) as change:
            assert await change.quarantine_runs(["r1", "r2", "r3"], False) == 2
        assert await store.count_runs(RunFilter(quarantined=False)) == 3

    async def test_needs_an_audit_entry_as_every_change(self, store):
        await store.record_runs([run("r1")], [])
        with pytest.raises(UnauditedChange):
            async with store.change() as change:
                await change.quarantine_runs(["r1"], True)
        assert await store.count_runs(RunFilter(quarantined=True)) == 0


async def test_the_ids_of_runs_are_those_of_their_list_page_by_page(store):
    await store.record_runs([run(f"r{number}", started_at_microseconds=NOON + number) for number in range(7)], [])
    first = await store.run_ids(RunFilter(agent="support"), None, 5)
    second = await store.run_ids(RunFilter(agent="support"), first.next_cursor, 5)
    assert [*first.items, *second.items] == [found.id for found in (await store.runs(RunFilter())).items]
    assert second.next_cursor is None
    assert (await store.run_ids(RunFilter(agent="other"))).items == []


async def test_runs_are_counted_by_the_filters_of_their_list(store):
    runs = [run("r1"), run("r2", agent="other"), run("r3", result="error", started_at_microseconds=NOON + 5)]
    await store.record_runs(runs, [])
    assert await store.count_runs(RunFilter()) == 3
    assert await store.count_runs(RunFilter(agent="support")) == 2
    assert await store.count_runs(RunFilter(result="error", from_microseconds=NOON + 5)) == 1
    assert await store.count_runs(RunFilter(to_microseconds=NOON)) == 0


async def test_the_audit_log_is_read_from_its_beginning(store):
    await an_agent(store)
    await an_agent(store, "other")
    entries = await store.audit_after(0, 100)
    assert entries == list(reversed((await store.audit()).items))
    assert await store.audit_after(1, 100) == entries[1:]
    assert await store.audit_after(0, 1) == entries[:1]
    assert await store.audit_after(2, 100) == []
