"""What keeps the process alive when the index of the log (-shm) is cut short in place: SQLite has that file mapped, and the kernel
answers the next look at what is gone with SIGBUS, which ends a process.

The handler runs on the thread that looked, inside SQLite. It first takes the files away from every connection: their descriptors
are made ones that can neither be read nor written, so that nothing is decided on an index that holds nothing. Then it lays empty
memory over what was mapped, and returns. What SQLite was doing fails with an I/O error or had been done; every connection is
opened anew then (database.py), and SQLite makes the index again from the log, in which everything is that was committed.

Decision: a handler, and not the index in memory (SQLite's `unix-excl`): that locks every other program out, and people read and copy
a database that is in use. Not a supervisor that starts the process again: it would cut all calls in flight.

The handler is Python, called through ctypes. That is safe here and nowhere else: the signal comes from the very instruction that
looked, SQLite's threads have given up the interpreter's lock then and are inside no allocation. Linux only, as are the locks of
open_file.py; elsewhere the process ends as it did.
"""

import ctypes
import mmap
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_MAP_FIXED: Final = 0x10
#: So many faults of one opening are met at most: what comes again and again is not ours.
_MOST_FAULTS: Final = 1000
_MAPS: Final = Path("/proc/self/maps")
_DESCRIPTORS: Final = "/proc/self/fd"

Identity = tuple[int, int]


@dataclass(slots=True, eq=False)
class Guarded:
    """One opening: its index, the files behind it as (device, inode), and our own descriptor, which stays."""

    index_path: Path
    index: Identity | None
    files: frozenset[Identity]
    own_descriptor: int
    faults: int = 0


class IndexGuard:
    """Of the whole process, as signals are."""

    def __init__(self) -> None:
        self._guarded: list[Guarded] = []
        self._library: Any = None
        self._handler: Any = None
        self._before: Any = None
        self._unusable = -1

    def guard(self, guarded: Guarded) -> None:
        """From now on until `release`."""
        self._install()
        self._guarded.append(guarded)

    def release(self, guarded: Guarded) -> None:
        if guarded in self._guarded:
            self._guarded.remove(guarded)

    def _install(self) -> None:
        if self._handler is not None or sys.platform != "linux":
            return
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        library.signal.restype = ctypes.c_void_p
        library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        # Neither reading nor writing nor locking is possible on it.
        self._unusable = os.open("/", os.O_PATH | os.O_CLOEXEC)
        self._library = library
        self._handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._met_fault)
        self._before = library.signal(signal.SIGBUS, self._handler)

    def _met_fault(self, _number: int) -> None:
        is_ours = False
        # An exception here would leave the instruction to be tried for ever.
        with suppress(Exception):
            for guarded in self._guarded:
                is_ours = self._cut_off(guarded) or is_ours
        if not is_ours:
            # Whoever handled it before, or nobody: the instruction is tried again when this returns.
            self._library.signal(signal.SIGBUS, self._before)

    def _cut_off(self, guarded: Guarded) -> bool:
        """Whether the fault may have been this one's: something of its index was mapped, or just now no longer was."""
        guarded.faults += 1
        mapped = _mapped(guarded)
        if mapped:
            self._make_unusable(guarded)
            for address, size in mapped:
                protection = mmap.PROT_READ | mmap.PROT_WRITE
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
                self._library.mmap(address, size, protection, flags, -1, 0)
        return guarded.faults <= _MOST_FAULTS and (bool(mapped) or guarded.faults > 1)

    def _make_unusable(self, guarded: Guarded) -> None:
        for name in os.listdir(_DESCRIPTORS):
            descriptor = int(name)
            if descriptor == guarded.own_descriptor:
                continue
            try:
                status = os.fstat(descriptor)
            except OSError:  # the listing's own, closed by now
                continue
            if (status.st_dev, status.st_ino) in guarded.files:
                os.dup2(self._unusable, descriptor, inheritable=False)


def _mapped(guarded: Guarded) -> list[tuple[int, int]]:
    """Address and size of what is mapped of the index, wherever its name leads by now."""
    found: list[tuple[int, int]] = []
    for line in _MAPS.read_text(errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) < 6:
            continue
        # Some file systems tell another inode here than a look at the file does.
        is_index = guarded.index is not None and int(fields[4]) == guarded.index[1] and fields[5].startswith("/")
        if is_index or fields[5].removesuffix(" (deleted)") == str(guarded.index_path):
            start, _, end = fields[0].partition("-")
            found.append((int(start, 16), int(end, 16) - int(start, 16)))
    return found


#: Signals are the process's, so there is one.
INDEX_GUARD: Final = IndexGuard()
