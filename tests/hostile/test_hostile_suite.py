"""The parts of benchmarks/hostile that say what is true: its table, and its disk that fails on order."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hostile.disk import Disk, is_available
from benchmarks.hostile.figures import BARS, Figure, table

WRITES = """
import os, sys
for folder in sys.argv[1:]:
    descriptor = os.open(folder + "/file", os.O_RDWR | os.O_CREAT)
    try:
        os.write(descriptor, b"x")
        os.fsync(descriptor)
        print(0)
    except OSError as error:
        print(error.errno)
"""


def row(figures: list[Figure], bar: str) -> str:
    (found,) = (line for line in table(figures) if line.startswith(f"| {bar} |"))
    return found


def test_a_bar_holds_only_where_every_attack_says_so() -> None:
    one, other = Figure("B13", "1 worker: fine", True), Figure("B13", "3 workers: lost", False)
    assert row([one], "B13").endswith("| 1 worker: fine | yes |")
    assert row([one, other], "B13").endswith("| 1 worker: fine; 3 workers: lost | **no** |")


def test_what_was_not_or_could_not_be_measured_does_not_hold() -> None:
    assert all(line.endswith("| – |") for line in list(table([]))[2:])
    assert row([Figure("B22", "no libfaketime", None)], "B22").endswith("| no libfaketime | – |")
    assert len(list(table([]))) == len(BARS) + 2


@pytest.mark.skipif(not is_available(), reason="gcc builds the faulty disk")
def test_the_disk_fails_below_its_folder_and_nowhere_else(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    disk = Disk(tmp_path, home)

    def written() -> list[int]:
        command = [sys.executable, "-c", WRITES, str(home), str(elsewhere)]
        said = subprocess.run(command, env=disk.environment, capture_output=True, check=True, text=True).stdout
        return [int(line) for line in said.split()]

    assert written() == [0, 0]
    disk.set(error=errno.ENOSPC)
    assert written() == [errno.ENOSPC, 0]
    disk.set()
    assert written() == [0, 0]
