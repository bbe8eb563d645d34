"""What recent calls were like is known to a preflight whichever worker served them, and after a restart."""

from pathlib import Path
from typing import Any

import orjson

from proxy.simulator.app import Simulator
from tests.acceptance.several_workers import many
from tests.harness import deployed


async def test_variables_that_calls_do_not_send_are_missed_with_several_workers_and_after_a_restart(
    tmp_path: Path,
) -> None:
    async def found(deployment: Any, number: int) -> list[str]:
        asked = await deployment.operator.get(f"/agents/support/versions/{number}/preflight")
        assert asked["notices"] == []
        return [finding["about"] for finding in asked["findings"]]

    simulator = Simulator()
    await simulator.start()
    async with deployed(tmp_path / "home", simulator=simulator, workers=3) as first:
        await first.operator.agent("support", "be brief")
        await many(first, 12, switchback_variables=orjson.dumps({"tone": "dry"}).decode())
        await first.operator.runs(12)
        for number, name in ((2, "tone"), (3, "product")):
            await first.operator.version(
                "support",
                f"{{{{{name}}}}}",
                parent=number - 1,
                prompt={"text": f"{{{{{name}}}}}", "variables": {name: {}}},
            )
        assert [await found(first, number) for number in (2, 3)] == [[], ["product"]]
        (run, *_) = await first.operator.runs(1)
        assert run["sent_variables"] == ["tone"]
    async with deployed(tmp_path / "home", simulator=simulator) as second:
        assert [await found(second, number) for number in (2, 3)] == [[], ["product"]]
    await simulator.stop()
