"""`python -m benchmarks.hostile [--seed N] [--minutes M] [--only B13,B1] [--workers 1,3] [--output FILE]`: the attacks, then the table.

`--faults "disk full,moved"` takes some of the store's faults only, `--fault-minutes 10` lets each last that long.

The minutes are shared out among the attacks, most to those that gain by repetition; an attack that needs longer for what it does once takes it.
Exits with 1 where a bar does not hold.
"""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.hostile import bursts, clocks, crowds, kills, large_inputs, leavers, raw, starts, store_faults
from benchmarks.hostile.figures import BARS, Figure, table
from benchmarks.hostile.product import Trial


class Attack(NamedTuple):
    """One module. `share` of the time, beside the others."""

    bars: tuple[str, ...]
    carry_out: Callable[[Trial], Awaitable[list[Figure]]]
    share: float


ATTACKS = {
    "kills": Attack(("B13",), kills.attack, 3),
    "store_faults": Attack(("B1", "B4"), store_faults.attack, 4),
    "leavers": Attack(("B7",), leavers.attack, 0.8),
    "bursts": Attack(("B5", "B6"), bursts.attack, 0.3),
    "crowds": Attack(("B23",), crowds.attack, 0.4),
    "large_inputs": Attack(("B11", "B12"), large_inputs.attack, 0.8),
    "clocks": Attack(("B22",), clocks.attack, 0.2),
    "starts": Attack(("B2", "B14"), starts.attack, 0.2),
    "raw": Attack(("B15",), raw.attack, 0.3),
}


def main() -> int:
    """Run what was chosen; 1 where a bar does not hold."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    options = _options()
    wanted = set(options.only.split(",")) if options.only else set(BARS)
    chosen = {name: one for name, one in ATTACKS.items() if wanted & {name, *one.bars}}
    workers = [int(one) for one in options.workers.split(",")]
    share = sum(one.share for one in chosen.values())
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    figures: list[Figure] = []
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        for name, attack in chosen.items():
            for count in workers:
                chance = random.Random(f"{options.seed} {name} {count}")
                seconds = options.minutes * 60 * attack.share / share / len(workers)
                faults = tuple(options.faults.split(",")) if options.faults else ()
                lasts = options.fault_minutes and options.fault_minutes * 60
                trial = Trial(chance, folder / f"{name}-{count}", count, seconds, faults, lasts)
                figures += _carried_out(name, attack, trial)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = "\n".join(table(figures))
    print(rows)
    if options.output:
        options.output.write_text(rows + "\n")
    return 1 if any(figure.holds is False for figure in figures) else 0


def _carried_out(name: str, attack: Attack, trial: Trial) -> list[Figure]:
    began = time.monotonic()
    try:
        figures = asyncio.run(_awaited(attack, trial))
    except Exception as error:  # an attack that broke off is a finding of its own, and the others go on
        traceback.print_exc()
        figures = [
            Figure(bar, f"{trial.who}: broke off: {type(error).__name__}: {error}"[:300], False) for bar in attack.bars
        ]
    for figure in figures:
        print(
            f"{name} {figure.bar} {'holds' if figure.holds else 'DOES NOT HOLD' if figure.holds is False else '-'}: {figure.reached}",
            flush=True,
        )
    print(f"{name}, {trial.who}: {time.monotonic() - began:.0f} s", flush=True)
    return figures


async def _awaited(attack: Attack, trial: Trial) -> list[Figure]:
    return await attack.carry_out(trial)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats what an earlier run drew")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--only", default="", help=f"bars or attacks, by comma: {', '.join(ATTACKS)}")
    parser.add_argument("--workers", default="1,3", help="how many, by comma")
    parser.add_argument("--faults", default="", help="of the store, by comma; all where none is named")
    parser.add_argument(
        "--fault-minutes", type=float, help="how long each of them lasts, instead of a share of the time"
    )
    parser.add_argument("--output", type=Path, help="a file for the table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
