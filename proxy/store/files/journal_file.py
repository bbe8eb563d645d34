"""The emergency journal: `journal`, one JSON line an entry, each with its checksum; blank lines are nothing.

Room is reserved ahead as blank lines and written over, so that an entry finds its place on a disk that is full. A line that was
torn by a crash is no JSON and is skipped; the ones before it are untouched, because nothing is ever written where an entry
stands. A line that is whole and does not fit its checksum was changed by somebody, and nothing is read then: what was ordered is
not known. Counterpart: runtime/state/journal.py, which says when.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from proxy.core.canonical import content_hash
from proxy.core.errors import Unavailable
from proxy.core.proof.emergency import AbortOrder, EmergencyOrder, JournalEntry, RollbackOrder, SwitchOrder
from proxy.store.files.private_file import NotOurs, open_private, sync_folder
from proxy.store.files.release_lines import release_line, release_of_line
from proxy.store.rows.columns import Columns
from proxy.store.rows.values import SWITCHES

FILE_NAME = "journal"
#: Every entry's line begins so.
_LINE_START = b'{"sha256":"'
#: Room for a few hundred entries.
_RESERVED_BYTES = 256 * 1024
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class JournalFile:
    """The file. Its methods block; they are called on a thread, one at a time. It is locked as long as it is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._is_read_only = False
        self._end = 0
        #: Lines that are no entries any more: torn by a crash, or damaged. They are left where they stand.
        self.damaged_lines = 0

    def open(self) -> list[JournalEntry]:
        """Open or make the file; the entries in it, oldest first. Raises Unavailable: `journal_unusable`, `store_in_use`.

        A file that can only be read is read: what was ordered stays in force, whatever became of the disk.
        """
        try:
            self._descriptor = self._opened()
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()
                raise Unavailable(
                    "store_in_use",
                    "another Switchback process uses this home; stop it, or give this one its own SWITCHBACK_HOME",
                ) from None
            raw = _read_all(self._descriptor)
            if not self._is_read_only:
                sync_folder(self._path.parent)
        except OSError as error:
            self.close()
            raise _unusable("read", error) from error
        try:
            entries = self._entries_of(raw)
        except Unavailable:
            self.close()
            raise
        self._end = len(raw.rstrip(b"\n"))
        self._reserve(len(raw))
        return entries

    def _opened(self) -> int:
        try:
            descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if error.errno not in _NOT_WRITABLE or isinstance(error, NotOurs):
                raise
            descriptor = open_private(self._path, os.O_RDONLY)
            self._is_read_only = True
        else:
            self._is_read_only = False
        return descriptor

    def append(self, entries: Sequence[JournalEntry]) -> None:
        """Write entries behind the last one; durable on return. Raises Unavailable(`journal_unusable`).

        After a failure every entry is to be given again: what was written may be lost, an entry that stands twice is one.
        """
        # The line break before an entry parts it from whatever a crash left there.
        lines = b"".join(b"\n" + _line_of(entry) for entry in entries)
        self._write(lines, self._end)
        self._end += len(lines)

    def clear(self) -> None:
        """Blank everything, keeping the room. Raises Unavailable(`journal_unusable`)."""
        self._write(b"\n" * max(self._end, _RESERVED_BYTES), 0)
        self._end = 0
        self.damaged_lines = 0

    def close(self) -> None:
        """Nothing where it is not open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, content: bytes, offset: int) -> None:
        if self._is_read_only:
            self.close()
        if self._descriptor is None:
            self.open()
        if self._is_read_only:
            raise _unusable("written", OSError(errno.EROFS, os.strerror(errno.EROFS)))
        assert self._descriptor is not None
        try:
            if not os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                raise FileNotFoundError(0, "it was replaced")
            written = 0
            while written < len(content):
                written += os.pwrite(self._descriptor, content[written:], offset + written)
            os.fsync(self._descriptor)
        except FileNotFoundError as error:
            # What is open is no longer in the folder and would not be found after a restart; the next attempt makes it anew.
            self.close()
            raise _unusable("written", error) from error
        except OSError as error:
            raise _unusable("written", error) from error

    def _reserve(self, size: int) -> None:
        if self._descriptor is None or size >= _RESERVED_BYTES:
            return
        try:
            os.pwrite(self._descriptor, b"\n" * (_RESERVED_BYTES - size), size)
            os.fsync(self._descriptor)
        except OSError:
            # Without the room an entry may still find some; it is tried when there is one.
            return

    def _entries_of(self, raw: bytes) -> list[JournalEntry]:
        entries: list[JournalEntry] = []
        self.damaged_lines = 0
        has_form = False
        lines = [line for line in raw.split(b"\n") if line]
        for line in lines:
            # The last one may have been torn within its first bytes.
            has_form = has_form or line.startswith(_LINE_START) or (line is lines[-1] and _LINE_START.startswith(line))
            entry = _entry_of(line)
            if entry is None:
                self.damaged_lines += 1
            else:
                entries.append(entry)
        if self.damaged_lines and not has_form:
            raise _not_understood("it holds something else than a journal")
        return list({entry.id: entry for entry in entries}.values())


def _read_all(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    while piece := os.pread(descriptor, 1 << 20, sum(map(len, pieces))):
        pieces.append(piece)
    return b"".join(pieces)


def _line_of(entry: JournalEntry) -> bytes:
    content: dict[str, Any] = {
        "id": entry.id,
        "at_microseconds": entry.at_microseconds,
        "order": _order_columns(entry.order),
        "release": None if entry.release is None else release_line(entry.release),
        **({} if entry.change_id is None else {"change_id": entry.change_id}),
    }
    return orjson.dumps({"sha256": content_hash(content), "entry": content})


def _entry_of(line: bytes) -> JournalEntry | None:
    """The entry of a line, None where the line was torn by a crash: nobody was told that its order is kept.

    Raises Unavailable(`journal_unusable`) for a line that is whole and no entry: somebody changed it, or a newer release wrote it,
    and what was ordered by it is not known.
    """
    try:
        content = orjson.loads(line)
    except ValueError:
        return None
    try:
        entry = content["entry"]
        if content_hash(entry) != content["sha256"]:
            raise _not_understood("the checksum of an entry does not fit")
        release = entry["release"]
        return JournalEntry(
            id=entry["id"],
            at_microseconds=entry["at_microseconds"],
            order=_order_of(entry["order"]),
            release=None if release is None else release_of_line(release),
            change_id=entry.get("change_id"),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise _not_understood("an entry was written by a release that orders other things") from error


def _order_columns(order: EmergencyOrder) -> Columns:
    match order:
        case RollbackOrder():
            return {
                "what": order.what,
                "who": order.who,
                "agent": order.agent,
                "label": order.label,
                "why": order.why,
                "undoes": order.undoes,
                "to": order.to,
                "evidence": [dict(item) for item in order.evidence],
            }
        case AbortOrder():
            return {
                "what": order.what,
                "who": order.who,
                "agent": order.agent,
                "rollout": order.rollout,
                "why": order.why,
            }
        case SwitchOrder():
            evidence = {"evidence": [dict(item) for item in order.evidence]} if order.evidence else {}
            return {"what": order.what, **SWITCHES.columns(order.switch), **evidence}


def _order_of(columns: Columns) -> EmergencyOrder:
    given = {name: value for name, value in columns.items() if name != "what"}
    match columns["what"]:
        case "rollback":
            # A journal of an earlier release knows no evidence.
            evidence: Sequence[Any] = given.pop("evidence", ())
            return RollbackOrder(**given, evidence=tuple(evidence))
        case "abort":
            return AbortOrder(**given)
        case "switch":
            evidence = given.pop("evidence", ())
            return SwitchOrder(switch=SWITCHES.value(given), evidence=tuple(evidence))
        case other:
            raise ValueError(other)


def _not_understood(problem: str) -> Unavailable:
    return Unavailable("journal_unusable", f"the file {FILE_NAME} cannot be read: {problem}")


def _unusable(attempt: str, error: OSError) -> Unavailable:
    return Unavailable("journal_unusable", f"the file {FILE_NAME} cannot be {attempt}: {error.strerror}")
