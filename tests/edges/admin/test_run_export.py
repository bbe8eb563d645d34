"""The export of runs: everything that fits, in either format, harmless in a spreadsheet, and visibly broken where it breaks."""

import csv
import io
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.core.calls.runs import Run
from proxy.edges.admin.handlers.run_export import RUN_FORMATS
from tests.edges.admin.composition import NOON, TOKEN, Admin


def run(number: int, **members: Any) -> Run:
    values: dict[str, Any] = {
        "agent": "support",
        "wire": "openai",
        "operation": "chat",
        "status": 200,
        "result": "ok",
        "duration_microseconds": 2500,
        "started_at_microseconds": NOON + number,
    }
    return Run(id=f"run_{number:07}", **{**values, **members})


async def recorded(admin: Admin, count: int, **members: Any) -> None:
    for start in range(0, count, 500):
        batch = [run(number, **members) for number in range(start, min(start + 500, count))]
        await admin.commands.store.record_runs(batch, [])


async def test_an_export_has_every_run_once_newest_first_however_many_pages_that_takes(admin: Admin) -> None:
    await recorded(admin, 1203, user="u1", conversation="c1", tool_calls=("refund",), tool_call_count=1)
    reply = await admin.get("/runs/export")
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    assert reply.headers["Switchback-Count"] == "1203"
    runs = [orjson.loads(line) for line in reply.content.splitlines()]
    assert [found["id"] for found in runs] == [f"run_{number:07}" for number in reversed(range(1203))]
    assert (runs[0]["user"], runs[0]["conversation"], runs[0]["tool_calls"]) == ("u1", "c1", ["refund"])
    listed = (await admin.get("/runs?limit=1"))["items"][0]
    assert runs[0] == listed


async def test_an_export_takes_the_filters_of_the_list(admin: Admin) -> None:
    await admin.commands.store.record_runs(
        [run(1, release=3), run(2, release=4), run(3, release=4, agent="other"), run(4, release=4, quarantined=True)],
        [],
    )

    async def exported(query: str) -> list[str]:
        reply = await admin.get(f"/runs/export?{query}")
        return [orjson.loads(line)["id"][-1] for line in reply.content.splitlines()]

    assert await exported("agent=support&release=4") == ["4", "2"]
    assert await exported("agent=support&release=4&quarantined=false") == ["2"]
    assert await exported("quarantined=true") == ["4"]
    assert await exported("from=2026-11-20T12:00:00.000003Z") == ["4", "3"]
    assert await exported("agent=nobody") == []


async def test_csv_has_a_column_for_every_member_and_neutral_cells(admin: Admin) -> None:
    hostile = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", 'say "hi"\r\nthere', "plain"]
    hostile += [
        " =1",
        "\u00a0+1",
        "\u3000@x",
        "\uff1d1",
        "\uff0b1",
        "|calc",
        "\x1b[2J",
        "a\u202eb",
        "\u200b=1",
        "\x00-1",
        "a=b",
    ]
    runs = [
        run(number, user=user, tags={"plan": "=x"}, tool_calls=("refund",), input_tokens=7, cost_nanodollars=1500)
        for number, user in enumerate(hostile)
    ]
    await admin.commands.store.record_runs(runs, [])
    reply = await admin.get("/runs/export?format=csv&agent=support")
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(reply.content, newline="")))
    assert [row["user"] for row in reversed(rows)] == [
        "'=cmd|' /C calc'!A0",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        "'\t=1",
        'say "hi"\r\nthere',
        "plain",
        "' =1",
        "'\u00a0+1",
        "'\u3000@x",
        "'\uff1d1",
        "'\uff0b1",
        "'|calc",
        "\ufffd[2J",
        "a\ufffdb",
        "'\ufffd=1",
        "'\ufffd-1",
        "a=b",
    ]
    first = rows[0]
    assert (first["tags"], first["tool_calls"], first["tokens.input"]) == ('{"plan":"=x"}', '["refund"]', "7")
    assert (first["quarantined"], first["version"], first["cost_usd"]) == ("false", "", "1.5e-06")
    described = (await admin.get("/runs/run_0000006")).content
    flat = {name for name in described if name not in ("tokens", "attempts")}
    assert set(first) == flat | {f"tokens.{name}" for name in described["tokens"]}


def test_an_empty_csv_still_has_its_head() -> None:
    form = RUN_FORMATS["csv"]
    assert form.head.startswith(b"id,kind,")
    assert form.render([], {}) == b""


async def test_a_broken_export_has_no_clean_end(admin: Admin) -> None:
    await recorded(admin, 12_000, user="u" * 500)
    url, headers = f"{admin.origin}/api/v1/runs/export", {"Authorization": f"Bearer {TOKEN}"}
    async with admin.session.get(url, headers=headers) as answer:
        assert answer.status == 200
        await answer.content.readany()
        await admin.commands.store.close()
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()
    assert admin.errors == []


async def test_an_export_that_cannot_begin_is_refused_as_everything_else(admin: Admin) -> None:
    assert (await admin.get("/runs/export?format=xlsx")).code == "bad_query"
    assert (await admin.get("/runs/export?limit=3")).code == "bad_query"
    assert (await admin.get("/runs/export?from=yesterday")).code == "bad_time"
    await admin.commands.store.close()
    reply = await admin.get("/runs/export")
    assert (reply.status, reply.code) == (503, "store_unavailable")


async def test_a_client_that_leaves_is_no_error_and_ends_the_reading(admin: Admin) -> None:
    await recorded(admin, 12_000, user="u" * 500)
    url, headers = f"{admin.origin}/api/v1/runs/export", {"Authorization": f"Bearer {TOKEN}"}
    async with admin.session.get(url, headers=headers) as answer:
        await answer.content.readany()
        answer.close()
    assert (await admin.get("/runs?limit=1")).status == 200
    assert admin.errors == []
