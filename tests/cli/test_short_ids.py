"""Ids by their beginning: enough where only one begins so, refused where several do, and never needed by programs."""

from datetime import UTC, datetime, timedelta

import pytest

FIRST, SECOND = "sw_66159786f61d9000036647e945a4", "sw_66159799a682a0104c2e238fd8cf"
SWITCH = {"scope": {}, "mode": "block", "why": "x"}


def there(admin, kind: str, *ids: str) -> None:
    admin.answer("GET", f"/{kind}", {"items": [{**SWITCH, "id": one} for one in ids], "next": None})


@pytest.mark.parametrize(
    ("line", "kind", "method"),
    [("restore", "switches", "DELETE"), ("caps end", "caps", "DELETE"), ("tokens revoke", "tokens", "DELETE")],
)
async def test_the_beginning_of_an_id_is_enough(switchback, admin, line, kind, method):
    there(admin, kind, FIRST, SECOND)
    admin.answer(method, f"/{kind}/{FIRST}", {**SWITCH, "id": FIRST})
    result = await switchback(*line.split(), "sw_66159786")
    assert result.exit_code == 0, result.stderr
    assert (admin.last.method, admin.last.path) == (method, f"/{kind}/{FIRST}")


async def test_a_beginning_that_several_have_changes_nothing_and_names_them(switchback, admin):
    there(admin, "switches", FIRST, SECOND)
    result = await switchback("restore", "sw_661597")
    assert result.exit_code == 2
    assert FIRST in result.stderr
    assert SECOND in result.stderr
    assert [one.method for one in admin.asked] == ["DELETE", "GET"]


@pytest.mark.parametrize("given", ["sw_", "sw_9999", "6615"])
async def test_what_no_id_begins_with_is_not_found(switchback, admin, given):
    there(admin, "switches", FIRST)
    result = await switchback("restore", given)
    assert result.exit_code == 1
    assert all(one.path != f"/switches/{FIRST}" for one in admin.asked)


async def test_a_whole_id_is_asked_for_once(switchback, admin):
    admin.answer("DELETE", f"/switches/{FIRST}", {**SWITCH, "id": FIRST})
    assert (await switchback("restore", FIRST)).exit_code == 0
    assert len(admin.asked) == 1


async def test_in_a_pipe_ids_are_whole(switchback, admin):
    there(admin, "switches", FIRST, SECOND)
    assert FIRST in (await switchback("kill", "--list")).stdout


RUN, LATER = "run_6615df9ca1c9e0000182eead4a02", "run_6615df9ca83170000282eead4a02"


def runs_there(admin, *ids: str, following: str | None = None) -> None:
    admin.answer("GET", "/runs", {"items": [{"id": one} for one in ids], "next": following})
    for one in ids:
        admin.answer("GET", f"/runs/{one}", {"id": one})


async def test_the_beginning_of_a_runs_id_is_looked_for_among_those_of_its_time(switchback, admin):
    runs_there(admin, LATER, RUN)
    admin.answer("POST", f"/runs/{RUN}/outcomes", {"name": "score", "run": RUN})
    shown = await switchback("runs", "show", "run_6615df9ca1")
    assert (shown.exit_code, RUN in shown.stdout) == (0, True)
    asked = next(one.query for one in admin.asked if one.path == "/runs")
    made = datetime.fromtimestamp(int("6615df9ca1c9e", 16) / 1_000_000, UTC)
    first, last = (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
    assert first < made < last
    assert last - first < timedelta(minutes=3)
    told = await switchback("outcome", "run_6615df9ca1", "--name", "score", "--value", "1")
    assert (told.exit_code, admin.last.path) == (0, f"/runs/{RUN}/outcomes")


async def test_runs_to_quarantine_may_be_cut_too(switchback, admin):
    runs_there(admin, LATER, RUN)
    admin.refuse("POST", "/runs/quarantine", 404, "run_not_found", "there is no run 'run_6615df9ca1'")
    admin.answer("POST", "/runs/quarantine", {"changed": 2})
    assert (await switchback("runs", "quarantine", "run_6615df9ca1", LATER, "--why", "x")).exit_code == 0
    assert admin.last.body["runs"] == [RUN, LATER]


@pytest.mark.parametrize(
    ("given", "following", "code"),
    [("run_6615df9c", None, 2), ("run_6615df9ca1", "more", 2), ("run_zz", None, 1), ("run_ffffffffffffff", None, 1)],
)
async def test_no_run_is_guessed(switchback, admin, given, following, code):
    runs_there(admin, LATER, RUN, following=following)
    assert (await switchback("runs", "show", given)).exit_code == code


async def test_a_beginning_that_very_many_have_names_only_some(switchback, admin):
    runs_there(admin, *(f"run_6615df9ca1c9e00{number:03d}82eead4a02" for number in range(40)))
    result = await switchback("runs", "show", "run_6615df9c")
    assert result.exit_code == 2
    assert "and 35 more" in result.stderr
