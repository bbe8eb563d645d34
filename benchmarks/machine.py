"""What the machine tells: cores, CPU time and resident memory of process groups, names and versions for the report.

Linux only; everything is read from /proc. CPU time is the scheduler's own account in nanoseconds (schedstat), because the
usual one counts in steps of 10 ms, as much as a thousand relayed events.
"""

import os
import platform
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The core of load generator and provider, and the one of the proxy under test; the same where there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[min(1, len(available) - 1)]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside run on this core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def group_members(group: int) -> list[int]:
    """The processes of a process group, its leader's children included."""
    members: list[int] = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    members.append(int(entry.name))
    return sorted(members)


def cpu_seconds(pids: list[int]) -> float:
    """CPU time all threads of these processes have used so far, user and system."""
    return sum(_cpu_seconds(pid) for pid in pids)


def resident_bytes(pids: list[int]) -> int:
    """Resident memory of these processes; pages they share count for each."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    return total


def description() -> dict[str, str]:
    """Processor, cores, memory, kernel and Python, for people."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * _PAGE / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()} ({_python_build()})",
    }


def _cpu_seconds(pid: int) -> float:
    total = 0
    with suppress(OSError):
        for thread in os.listdir(_PROC / str(pid) / "task"):
            with suppress(OSError):
                total += int((_PROC / str(pid) / "task" / thread / "schedstat").read_text().split()[0])
    return total / 1e9 if total else _cpu_seconds_in_ticks(pid)


def _cpu_seconds_in_ticks(pid: int) -> float:
    """For kernels without schedstat."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def _python_build() -> str:
    """Whether it was built with profile-guided optimisation, as releases for users are. Some of those (Debian's) do not say."""
    is_optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return "optimised build" if is_optimised else "not known to be an optimised build"


def _processor() -> str:
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
