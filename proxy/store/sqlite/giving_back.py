"""Giving free pages of the database file back to the disk, some at a time.

Decision: incremental auto-vacuum, which costs a page of pointers for every thousand pages of the file, and no CPU of a run that
could be measured (150,000 runs, with and without, 2026-11-28). VACUUM would hold up every write until the whole file is written
anew. A file made by a release that had not decided so keeps its size while it is open, and its free pages are used again; `store restore`
writes every file anew.
"""

import sqlite3
from typing import Final

#: 1 MB of a file: some milliseconds of the writer's thread.
_PAGES_A_STEP: Final = 256
_INCREMENTAL: Final = 2


def give_back(plain: sqlite3.Connection) -> int:
    """One step; how many bytes the file is to shrink by when the log is moved into it, 0 at the end."""
    if plain.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
        return 0
    before = _pages(plain)
    for _ in range(min(_PAGES_A_STEP, plain.execute("PRAGMA freelist_count").fetchone()[0])):
        # A page each: of a statement without columns Python's sqlite3 takes one step, which is one page, whatever number is asked for.
        plain.execute("PRAGMA incremental_vacuum(1)")
    return (before - _pages(plain)) * plain.execute("PRAGMA page_size").fetchone()[0]


def free_bytes(plain: sqlite3.Connection) -> int:
    """What the file has of pages that nothing is in."""
    return plain.execute("PRAGMA freelist_count").fetchone()[0] * plain.execute("PRAGMA page_size").fetchone()[0]


def _pages(plain: sqlite3.Connection) -> int:
    return plain.execute("PRAGMA page_count").fetchone()[0]
