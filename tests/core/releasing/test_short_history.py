"""A shortened ledger decides rollbacks as the whole one does; what it loses is reach, never truth."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import Conflict, NotFound
from proxy.core.releasing.releases import Release, RollbackPlan, plan_rollback, standing_rows, whole
from proxy.core.releasing.short_history import followed_by, short_history
from proxy.core.snapshot import Agent, AgentState, Label

KINDS = st.sampled_from(["label_moved", "label_moved", "rolled_back", "rolled_back", "promoted", "label_deleted"])
STEPS = st.lists(st.tuples(KINDS, st.integers(1, 6)), min_size=1, max_size=40)


def ledger(steps: list[tuple[str, int]]) -> list[Release]:
    """Rows as commands would append them: a step back is what the rule says, or to a version it names."""
    rows: list[Release] = []
    for kind, version in steps:
        if kind == "rolled_back":
            standing = standing_rows(rows)
            if not standing:
                continue
            if version > 3 and len(standing) > 1:
                version = standing[-2][-1].version
        rows.append(row(len(rows) + 1, kind, version))
    return rows or [row(1, "label_moved", 1)]


def row(number: int, kind: str, version: int) -> Release:
    return Release(
        agent="a", number=number, kind=kind, label="prod", arms=whole(version), salt=None, rollout=None,
        who="ann", approved_by=None, why="", created_at_microseconds=number,
    )  # fmt: skip


def planned(history: list[Release] | tuple[Release, ...], version: int, **wanted: int | None) -> RollbackPlan | str:
    state = AgentState(Agent(name="a", newest=9), {"prod": Label("prod", version, 1)})
    try:
        return plan_rollback(state, "prod", history, undoes=wanted.get("undoes"), to=wanted.get("to"))
    except (Conflict, NotFound) as refusal:
        return refusal.code


@given(STEPS, st.integers(4, 12))
def test_it_leads_where_the_whole_leads_or_nowhere(steps: list[tuple[str, int]], most: int) -> None:
    history = ledger(steps)
    if history[-1].kind == "label_deleted":
        return
    serving = history[-1].version
    kept = short_history(history, most)
    assert len(kept) <= max(most, 1) + 1
    assert kept[-1] is history[-1]
    for wanted in ({}, {"to": 9}, {"to": serving}, *({"undoes": one.number} for one in history)):
        short, long = planned(kept, serving, **wanted), planned(history, serving, **wanted)
        assert short == long or short in ("nothing_to_roll_back", "release_not_found")


@given(STEPS)
def test_a_short_history_kept_up_row_by_row_never_leads_elsewhere(steps: list[tuple[str, int]]) -> None:
    history = ledger(steps)
    kept: tuple[Release, ...] = ()
    for number, one in enumerate(history, start=1):
        kept = followed_by(kept, one)
        if not kept:
            continue
        short, long = planned(kept, one.version), planned(history[:number], one.version)
        assert short == long or short == "nothing_to_roll_back"


def test_a_history_that_is_short_already_is_kept_word_for_word() -> None:
    history = [row(1, "label_moved", 1), row(2, "label_moved", 2), row(3, "rolled_back", 1)]
    assert short_history(history) == tuple(history)


def test_a_label_moved_a_thousand_times_still_goes_back_one_step_and_ten() -> None:
    history = [row(number, "label_moved", number) for number in range(1, 1001)]
    kept = short_history(history)
    assert len(kept) < 30
    assert planned(kept, 1000) == RollbackPlan(1000, 999)
    kept = (*kept, row(1001, "rolled_back", 990))
    assert planned(kept, 990, undoes=1001) == RollbackPlan(1001, 989)
