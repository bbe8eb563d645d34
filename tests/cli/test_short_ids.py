"""Ids by their beginning: enough where only one begins so, refused where several do, and never needed by programs."""

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
