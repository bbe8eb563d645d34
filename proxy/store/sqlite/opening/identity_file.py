"""Which database belongs to this home, and how we left its file: `<database>-identity`, kept outside the database itself.

A database that was exchanged while nobody looked is recognised by it at the start: a missing or empty one, another
installation's, an older copy, and one laid beside a log (-wal) that is not its own, which SQLite would play into it.

Format 1: two slots of 512 bytes, each a JSON line with a checksum, written in turn and in place, so that a torn write leaves the
other and a full disk is no matter. The one with the higher `sequence` counts. `database` is size and time of modification as of
our last checkpoint, null while one is under way: a crash then leaves a file that is neither as before nor as after.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from proxy.core.errors import Unavailable
from proxy.store.sqlite.opening.failures import file_failure

_FORMAT = 1
_SLOT_BYTES = 512
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`generation` grows about once a second while the database is used: it orders copies that no change tells apart."""

    installation: str
    revision: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityNote:
    """What is kept. `content`: size in bytes and time of modification in nanoseconds, None while they change."""

    identity: Identity
    content: tuple[int, int] | None


class IdentityFile:
    """The file. Its methods block."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}-identity")
        self._sequence = 0

    def read(self) -> IdentityNote | None:
        """The newest note, None where there is no file. Raises Unavailable(`store_identity_unusable`)."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.path, error.strerror or "unknown error") from error
        try:
            raw = os.pread(descriptor, 2 * _SLOT_BYTES, 0)
        except OSError as error:
            raise _unusable(self.path, error.strerror or "unknown error") from error
        finally:
            os.close(descriptor)
        slots = [slot for at in (0, _SLOT_BYTES) if (slot := _slot_of(raw[at : at + _SLOT_BYTES])) is not None]
        if not slots:
            raise _unusable(self.path, "it is damaged")
        newest = max(slots, key=lambda slot: slot["sequence"])
        if newest["format"] != _FORMAT:
            raise _unusable(self.path, f"it has format {newest['format']}, this release knows {_FORMAT}")
        self._sequence = newest["sequence"]
        identity = Identity(
            installation=newest["installation"], revision=newest["revision"], generation=newest["generation"]
        )
        content = newest["database"]
        return IdentityNote(identity=identity, content=None if content is None else (content[0], content[1]))

    def write(self, note: IdentityNote) -> None:
        """Durable on return. Raises Unavailable(`store_unavailable`)."""
        self._sequence += 1
        content = {
            "format": _FORMAT,
            "sequence": self._sequence,
            "installation": note.identity.installation,
            "revision": note.identity.revision,
            "generation": note.identity.generation,
            "database": note.content,
        }
        line = orjson.dumps({"sha256": _checksum(content), "note": content})
        slot = line.ljust(_SLOT_BYTES - 1) + b"\n"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self.path, flags, _OWNER_ONLY)
            try:
                os.pwrite(descriptor, slot, (self._sequence % 2) * _SLOT_BYTES)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise file_failure(error) from error


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def _slot_of(raw: bytes) -> dict[str, Any] | None:
    """None for a slot that was never written, or torn."""
    try:
        line = orjson.loads(raw)
        content: dict[str, Any] = line["note"]
        return content if _checksum(content) == line["sha256"] else None
    except (LookupError, TypeError, ValueError):
        return None


def _unusable(path: Path, problem: str) -> Unavailable:
    return Unavailable(
        "store_identity_unusable",
        f"the file {path.name} tells which database belongs here and cannot be used: {problem}; make it readable, or, to trust "
        "the database that is there, stop, move that file away and start",
    )
