"""What became of the database's files while they are open: the states, how each is recognised, and what may be done in it.

Pure: two sightings in, a state out. The files are looked at by open_file.py, what a state asks for is done by database.py.

    state          what is seen at the paths                      written   log moved    what ends it
    here           the files that are open, as we left them       yes       yes
    gone           no database                                    no        yes          the file is put back
    replaced       another file in the database's place           no        yes          the right one is put back; or what
                                                                                         came is a whole copy, then it is opened
    overwritten    the open file, changed by another program      no        no           a restore, or the bytes as they were
    log_lost       no -wal, or another one                        no        yes          by itself: moved, then opened anew
    log_cut        the -wal is shorter than it was                no        no           by itself: opened anew
    index_lost     no -shm, or another one                        no        no           by itself: opened anew
    index_cut      the -shm is shorter than it was                no        no           by itself: opened anew

"Log moved": what the open log holds is moved through the open descriptors into the open database, so that this one is whole
without any file at a path. Where the open file was overwritten, our pages must not be mixed with somebody else's; where the index
is not what it was, the log is read anew from its path, where it is.

Decision: only a checkpoint of ours changes the database file, and SQLite makes none by itself (connection.py), so that any other
change of size or time of modification is somebody else's. SQLite itself notices neither, and would lay its log over them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class FileFacts(NamedTuple):
    """One file as the file system tells it."""

    device: int
    inode: int
    size_bytes: int
    changed_nanoseconds: int

    @property
    def identity(self) -> tuple[int, int]:
        return self.device, self.inode

    @property
    def content(self) -> tuple[int, int]:
        """Differs once somebody wrote; survives a copy that keeps times."""
        return self.size_bytes, self.changed_nanoseconds


@dataclass(frozen=True, slots=True)
class Sighting:
    """The database, its log (-wal) and the log's index (-shm); None where there is none."""

    database: FileFacts | None
    log: FileFacts | None
    index: FileFacts | None


class Presence(StrEnum):
    """The table above."""

    HERE = "here"
    GONE = "gone"
    REPLACED = "replaced"
    OVERWRITTEN = "overwritten"
    LOG_LOST = "log_lost"
    LOG_CUT = "log_cut"
    INDEX_LOST = "index_lost"
    INDEX_CUT = "index_cut"


#: In these what the open log holds belongs into the open database.
LOG_MOVES_IN: Final = frozenset({Presence.HERE, Presence.GONE, Presence.REPLACED, Presence.LOG_LOST})
#: In these the connections are opened anew, on the same database.
REOPENED_IN: Final = frozenset(
    {Presence.HERE, Presence.LOG_LOST, Presence.LOG_CUT, Presence.INDEX_LOST, Presence.INDEX_CUT}
)


def presence_of(known: Sighting, seen: Sighting) -> Presence:
    """What became of the files last known as `known`. The database's own trouble goes before its log's."""
    if seen.database is None or known.database is None:
        return Presence.GONE
    if seen.database.identity != known.database.identity:
        return Presence.REPLACED
    if seen.database.content != known.database.content:
        return Presence.OVERWRITTEN
    if not _is_same(known.log, seen.log):
        return Presence.LOG_LOST
    if _is_shorter(known.log, seen.log):
        return Presence.LOG_CUT
    if not _is_same(known.index, seen.index):
        return Presence.INDEX_LOST
    return Presence.INDEX_CUT if _is_shorter(known.index, seen.index) else Presence.HERE


def _is_same(known: FileFacts | None, seen: FileFacts | None) -> bool:
    return known is not None and seen is not None and known.identity == seen.identity


def _is_shorter(known: FileFacts | None, seen: FileFacts | None) -> bool:
    return known is not None and seen is not None and seen.size_bytes < known.size_bytes
