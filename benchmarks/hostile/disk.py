"""A disk that can be made slow, full or broken while a process writes to it; see disk.c. Needs gcc."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("disk.c")
_FAULT = struct.Struct("=ii")


def is_available() -> bool:
    """Whether the fault can be built here."""
    return shutil.which("gcc") is not None


class Disk:
    """The disk under one home. Made before the process starts, with its `environment`."""

    def __init__(self, folder: Path, home: Path) -> None:
        library = folder / "disk.so"
        if not library.exists():
            subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
        self._fault = folder / "disk-fault"
        self._fault.write_bytes(_FAULT.pack(0, 0))
        self.environment = {"LD_PRELOAD": str(library), "DISK_FAULT": str(self._fault), "DISK_FOLDER": str(home)}

    def set(self, *, delay_ms: int = 0, error: int = 0) -> None:
        """From now on each write and sync takes so much longer, and fails with this errno. Neither: it is well again."""
        descriptor = os.open(self._fault, os.O_WRONLY)  # in place: it is mapped
        try:
            os.write(descriptor, _FAULT.pack(delay_ms, error))
        finally:
            os.close(descriptor)
