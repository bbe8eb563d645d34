"""Runs a simulator as a process of its own: what `switchback simulate` does once its options are read.

No options are parsed and nothing is printed here; the caller says what to do with the address. `/_simulator/`
(`control.py`) answers what in one process is asked of `Simulator` directly.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from proxy.simulator.app import Simulator
from proxy.simulator.scenario import Scenario


async def serve(
    host: str, port: int, scenario: Scenario, ledger_path: Path | None, ready: Callable[[str], None]
) -> None:
    """Serves until cancelled, after calling `ready` with the origin. Raises OSError if it cannot listen or write."""
    simulator = Simulator(scenario, ledger_path=ledger_path)
    try:
        await simulator.start(host, port)
        ready(simulator.url)
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
