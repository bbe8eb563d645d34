"""Which revision changed what of the snapshot last, so that a change is read back by itself, however large the rest is.

Whoever writes what the snapshot is made of says so here, in the same transaction. How the parts themselves are read is traffic.py's.
"""

import sqlite3
from collections.abc import Iterable
from typing import Literal

from proxy.core.snapshot import SnapshotChanges
from proxy.store.sqlite.access import read_active_tokens
from proxy.store.sqlite.traffic import read_agent_states, read_caps, read_switches

#: Its kind, and the name of an agent; the lists are one part each, without a name.
Part = tuple[Literal["agent", "switches", "caps", "tokens"], str]

_MARK = """
INSERT INTO snapshot_parts (kind, name, revision) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET revision = excluded.revision
"""
_CHANGED = "SELECT kind, name FROM snapshot_parts WHERE revision > ?"


def mark(plain: sqlite3.Connection, parts: Iterable[Part], revision: int) -> None:
    """Say that this revision changes these parts."""
    plain.executemany(_MARK, [(*part, revision) for part in parts])


def finish(plain: sqlite3.Connection, parts: Iterable[Part], revision: int) -> None:
    """The last statements of a change, which is this revision."""
    mark(plain, parts, revision)
    plain.execute("UPDATE meta SET revision = ?", (revision,))


def read_changes(plain: sqlite3.Connection, after: int, revision: int) -> SnapshotChanges:
    """What is otherwise at `revision`, the one that is read, than it was at the revision `after`."""
    changed = {(row["kind"], row["name"]) for row in plain.execute(_CHANGED, (after,))}
    return SnapshotChanges(
        revision=revision,
        agents=read_agent_states(plain, [name for kind, name in changed if kind == "agent"]),
        switches=read_switches(plain) if ("switches", "") in changed else None,
        caps=read_caps(plain) if ("caps", "") in changed else None,
        tokens=read_active_tokens(plain) if ("tokens", "") in changed else None,
    )
