"""The log tells of every change once, in the words of its audit entry; and what became of a change can be asked by its id."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.app import Simulator
from tests.acceptance.absent_store import files_elsewhere, is_up, moved_away, prepared, whole_audit
from tests.harness import Deployment, deployed, eventually

TOLD = ("who", "what", "subject", "why")


def events(lines: list[bytes], event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for chunk in lines for line in chunk.splitlines()]
    return [line for line in found if line.get("event") == event]


async def told_as_audited(deployment: Deployment, lines: list[bytes]) -> list[dict[str, Any]]:
    """The `change` lines, which are the audit log's entries one by one."""
    entries, changes = await whole_audit(deployment.operator), events(lines, "change")
    assert [change["entry"] for change in changes] == [entry["number"] for entry in entries]
    for change, entry in zip(changes, entries, strict=True):
        assert {name: change[name] for name in TOLD} == {name: entry[name] for name in TOLD}
        assert change["level"] == "info"
    return changes


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_change_is_a_line_of_the_log_whoever_made_it(tmp_path: Path, workers: int) -> None:
    lines: list[bytes] = []
    async with deployed(tmp_path / "home", workers=workers, log=lines.append) as deployment:
        operator = deployment.operator
        await prepared(operator)
        soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        await operator.post("/switches", scope={"agent": "support"}, mode="block", why="bad", expires=soon)
        await operator.post("/agents/support/rollback", why="worse")
        await operator.post("/agents/support/rollback", why="nothing is left to do")
        await eventually(lambda: any(line["what"] == "switch.expired" for line in events(lines, "change")))
        changes = await told_as_audited(deployment, lines)
    made = {change["what"]: change["who"] for change in changes}
    assert {made["switch.on"], made["label.rolled_back"], made["rollout.started"]} == {"admin"}
    assert made["switch.expired"] != "admin"


async def test_an_emergency_without_the_store_is_told_at_once_and_its_change_when_the_store_has_it(
    home: Path, simulator: Simulator
) -> None:
    lines: list[bytes] = []
    async with deployed(home, simulator=simulator, log=lines.append) as deployment:
        await prepared(deployment.operator)
        async with moved_away(deployment, home):
            await deployment.operator.request(
                "POST", "/agents/support/rollback", {"why": "worse"}, change_id="chg_rollback"
            )
            (waiting,) = events(lines, "change_waiting")
            assert [waiting[name] for name in ("level", *TOLD, "journalled")] == [
                "warning", "admin", "rollback", "agents/support/labels/prod", "worse", True,
            ]  # fmt: skip
        await eventually(lambda: is_up(deployment.operator))
        last = (await told_as_audited(deployment, lines))[-1]
        assert (last["what"], last["change_id"]) == ("label.rolled_back", "chg_rollback")


async def test_what_became_of_a_change_is_known_after_restarts_too(home: Path, simulator: Simulator) -> None:
    """Of one that a journal alone has nothing is said until the store has it."""

    async def result(deployment: Deployment, change_id: str) -> str:
        return (await deployment.operator.get(f"/changes/{change_id}"))["result"]

    async with deployed(home, simulator=simulator) as first:
        await prepared(first.operator)
        moving = "PUT", "/agents/support/labels/staging", {"version": 1, "why": "try"}
        await first.operator.request(*moving, change_id="chg_moving")
        assert await result(first, "chg_moving") == "changed"
    with files_elsewhere(home):
        async with deployed(home, simulator=simulator) as second:
            ordering = "POST", "/agents/support/rollback", {"label": "prod", "why": "worse"}
            await second.operator.request(*ordering, change_id="chg_rollback")
            assert await result(second, "chg_rollback") == "changed"
            assert await result(second, "chg_moving") == "unknown"
        async with deployed(home, simulator=simulator) as third:
            assert await result(third, "chg_rollback") == "unknown"
            assert await result(third, "chg_nothing") == "unknown"
    async with deployed(home, simulator=simulator) as fourth:
        assert await result(fourth, "chg_moving") == "changed"
        assert await result(fourth, "chg_rollback") == "changed"
        assert await result(fourth, "chg_nothing") == "not_changed"
