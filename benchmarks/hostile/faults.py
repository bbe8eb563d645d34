"""What can befall the files of a store and the disk below them, as an operator or a machine would bring it about.

Each fault has a beginning and an end; between them the process runs on. Carrying them out is store_faults.py's matter.
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.hostile.disk import Disk
from benchmarks.hostile.product import Product


def copied(database: Path, copy: Path) -> None:
    """A whole copy, the log's part included."""
    source, target = sqlite3.connect(database), sqlite3.connect(copy)
    source.backup(target)
    target.close()
    source.close()


class Fault(NamedTuple):
    """`begin` gives back what `end` needs. `keeps_changes` False: the fault itself destroys what no file has any more."""

    name: str
    begin: Callable[[Product, Disk], Any]
    end: Callable[[Product, Disk, Any], None]
    keeps_changes: bool = True


def _locked(product: Product, _disk: Disk) -> sqlite3.Connection:
    other = sqlite3.connect(product.database, isolation_level=None, timeout=10, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    return other


def _unlocked(_product: Product, _disk: Disk, other: sqlite3.Connection) -> None:
    other.rollback()
    other.close()


def _moved(product: Product, _disk: Disk) -> None:
    product.database.rename(product.database.with_name("right"))


def _moved_back(product: Product, _disk: Disk, _: object) -> None:
    product.database.unlink(missing_ok=True)
    product.database.with_name("right").rename(product.database)


def _replaced(content: bytes | None) -> Callable[[Product, Disk], None]:
    """By these bytes; None: by the older copy that was made before the calls began."""

    def begin(product: Product, disk: Disk) -> None:
        _moved(product, disk)
        if content is None:
            shutil.copyfile(product.database.with_name("older"), product.database)
        else:
            product.database.write_bytes(content)

    return begin


def _whole_copy(product: Product, disk: Disk) -> None:
    """A copy of the very moment, log included, takes the place of a moved file."""
    copy = product.database.with_name("copy")
    copied(product.database, copy)
    _moved(product, disk)
    copy.rename(product.database)


def _deleted(product: Product, _disk: Disk) -> None:
    product.database.unlink()


def _kept_put_back(product: Product, _disk: Disk, _: object) -> None:
    with suppress(ValueError):
        (kept,) = product.home.glob("switchback.db.kept-*")
        kept.rename(product.database)


def _nothing(_product: Product, _disk: Disk, _: object) -> None:
    return


def _beside(suffix: str, change: Callable[[Any], object]) -> Callable[[Product, Disk], None]:
    """The log or its index, changed in place or replaced."""

    def begin(product: Product, _disk: Disk) -> None:
        change(product.database.with_name(product.database.name + suffix))

    return begin


def _garbage_instead(file: Any) -> None:
    other = file.with_name("garbage")
    other.write_bytes(b"garbage" * 3000)
    other.replace(file)


def _disk(**trouble: int) -> Callable[[Product, Disk], None]:
    def begin(_product: Product, disk: Disk) -> None:
        disk.set(**trouble)

    return begin


def _disk_well(_product: Product, disk: Disk, _: object) -> None:
    disk.set()


def _home_moved(product: Product, _disk: Disk) -> None:
    product.home.rename(product.home.with_name("elsewhere"))


def _home_back(product: Product, _disk: Disk, _: object) -> None:
    if product.home.exists():  # something wrote there meanwhile
        shutil.rmtree(product.home)
    product.home.with_name("elsewhere").rename(product.home)


FAULTS = [
    Fault("locked", _locked, _unlocked),
    Fault("moved", _moved, _moved_back),
    Fault("replaced by nothing", _replaced(b""), _moved_back),
    Fault("replaced by garbage", _replaced(b"garbage" * 3000), _moved_back),
    Fault("replaced by an older copy", _replaced(None), _moved_back),
    Fault("replaced by a whole copy", _whole_copy, _nothing),
    Fault("deleted", _deleted, _kept_put_back),
    Fault("log deleted", _beside("-wal", os.unlink), _nothing),
    Fault("log replaced", _beside("-wal", _garbage_instead), _nothing),
    Fault("log truncated", _beside("-wal", lambda file: os.truncate(file, 0)), _nothing, keeps_changes=False),
    Fault("index deleted", _beside("-shm", os.unlink), _nothing),
    Fault("index replaced", _beside("-shm", _garbage_instead), _nothing),
    Fault("index truncated", _beside("-shm", lambda file: os.truncate(file, 0)), _nothing),
    Fault("disk full", _disk(error=errno.ENOSPC), _disk_well),
    Fault("disk broken", _disk(error=errno.EIO), _disk_well),
    Fault("read-only", _disk(error=errno.EROFS), _disk_well),
    Fault("slow by 300 ms", _disk(delay_ms=300), _disk_well),
    Fault("slow by 2 s", _disk(delay_ms=2000), _disk_well),
    Fault("hung", _disk(delay_ms=600_000), _disk_well),
    Fault("home moved", _home_moved, _home_back),
]
