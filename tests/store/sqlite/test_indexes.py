"""Every list and every read on the data path is a range of an index: no scan of a whole table, no sort."""

import sqlite3
from contextlib import closing

import pytest

from proxy.core.calls.run_filter import RunFilter
from proxy.store.sqlite import access, changes, ledger, lists, proof, traffic
from proxy.store.sqlite.opening.migrate import migrate, migrations
from proxy.store.sqlite.runs import batches, outcome_lists, run_lists


@pytest.fixture
def plan(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as plain:
        migrate(plain, migrations())

        def explain(statement: str, values) -> str:
            return "\n".join(row[3] for row in plain.execute(f"EXPLAIN QUERY PLAN {statement}", values))

        yield explain


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RunFilter(), "runs_by_start"),
        (RunFilter(agent="a"), "runs_by_agent"),
        (RunFilter(agent="a", result="error", from_microseconds=1, to_microseconds=2), "runs_by_agent"),
        (RunFilter(agent="a", version=1), "runs_by_agent"),
        (RunFilter(agent="a", release=1), "runs_by_agent"),
        (RunFilter(quarantined=True), "runs_quarantined"),
        (RunFilter(agent="a", result="ok", quarantined=True), "runs_quarantined"),
    ],
)
def test_runs_are_listed_by_the_index_of_what_is_asked_for(plan, wanted, index):
    steps = plan(*run_lists.runs_statement(wanted, None, 100))
    assert f"SEARCH run_records USING INDEX {index} (" in steps
    assert "TEMP B-TREE" not in steps


@pytest.mark.parametrize(
    ("place", "values"),
    [
        (run_lists._AFTER_SEGMENTS, []),
        (run_lists._IN_SEGMENT, [0, "user", "u"]),
        (run_lists._ALL_SEGMENTS, ["user", "u"]),
    ],
)
def test_the_runs_of_one_owner_are_found_by_their_numbers(plan, place, values):
    steps = plan(run_lists._COUNT.format(place=place, where="TRUE"), values)
    assert "SEARCH run_records USING INTEGER PRIMARY KEY" in steps
    assert "SCAN run_records" not in steps
    assert "SEARCH run_owners USING PRIMARY KEY" in steps or place is run_lists._AFTER_SEGMENTS


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (lists._AGENTS, ("", 1)),
        (lists._VERSIONS, ("a", 9, 1)),
        (lists._RELEASES, ("a", 9, 1)),
        (lists._LABEL_RELEASES, ("a", "prod", 9, 1)),
        (lists._LABEL_HISTORY, ("a", "prod")),
        (lists._ROLLOUTS, ("a", 9, 1)),
        (lists._AUDIT, (9, 1)),
        (lists._AUDIT_AFTER, (9, 1)),
        (outcome_lists._OF_RUN, ("r",)),
        (outcome_lists._OF_RUNS, ("[]", 1)),
        (outcome_lists._LAST_LOOKED_AT, ("b", "a", 1)),
        (outcome_lists._PAGE.format(where=""), ("b", "a", 1)),
        (proof._ENTRIES, (9, 1)),
        (proof._COMPONENTS, (9, 1)),
        *((statement, ("[]",)) for statement in proof._ROWS.values()),
        (access._TOKENS, (9, "", 1)),
        (access._PROTECTION, ("a", "prod")),
        (access._PROTECTIONS, ("a",)),
        (access._NEXT_PROPOSAL, ("a",)),
        (access._PROPOSAL, ("a", "p1")),
        (access._PROPOSALS, ("a", 9, 1)),
        (access._PROPOSALS_BY_STATE, ("a", "waiting", 9, 1)),
        (access._WAITING, ("a", "prod")),
        (traffic._AGENTS, ("[]",)),
        (traffic._LABELS, ("[]",)),
        (traffic._ACTIVE_ROLLOUTS, ("[]",)),
        (traffic._ROLLOUT_RELEASES, ("[]",)),
        (traffic._VERSIONS, ("[]",)),
        (traffic._COMPONENTS, ("[]",)),
        (batches._KNOWN_RUNS, ("[]",)),
        (changes._QUARANTINE, {"runs": "[]", "quarantined": 1}),
        (ledger.ROWS_SPENT, ("", 1)),
        (ledger.BATCHES_SPENT, ("", 1)),
        (ledger.CARRIED_SPENT, ("", 1)),
        (ledger._LEASE_END, ("", 1, "")),
    ],
)
def test_the_other_reads_scan_no_table_and_sort_nothing(plan, statement, values):
    steps = plan(statement, values).splitlines()
    assert all(step.startswith("SEARCH") for step in steps if "wanted" not in step and "SUBQUERY" not in step)
