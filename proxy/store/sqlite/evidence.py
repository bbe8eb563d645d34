"""What rollouts are judged on: one row a rollout, replaced tick by tick."""

import sqlite3
from collections.abc import Sequence

import orjson

from proxy.core.snapshot import Rollout
from proxy.store.ports.rollouts import KeptEvidence
from proxy.store.rows.columns import json_text
from proxy.store.sqlite.traffic import rollouts_of

_KEEP = """
INSERT INTO rollout_evidence (agent, rollout, progress, tallies, updated_at_microseconds) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (agent, rollout) DO UPDATE SET progress = excluded.progress, tallies = excluded.tallies,
    updated_at_microseconds = excluded.updated_at_microseconds
"""
_WATCHED = """
SELECT rollouts.* FROM rollouts JOIN rollout_evidence ON rollout_evidence.agent = rollouts.agent AND rollout = rollouts.id
WHERE json_extract(progress, '$.watch.state') = 'watching'
"""
_READ = "SELECT * FROM rollout_evidence WHERE agent = ? AND rollout = ?"


def keep(plain: sqlite3.Connection, kept: Sequence[KeptEvidence]) -> None:
    rows = [
        (one.agent, one.rollout, json_text(one.progress), json_text(one.tallies), one.updated_at_microseconds)
        for one in kept
    ]
    plain.executemany(_KEEP, rows)


def read_open_watches(plain: sqlite3.Connection) -> list[tuple[Rollout, KeptEvidence]]:
    """Read once, at the start: a look at every rollout there ever was."""
    rollouts = rollouts_of(plain, plain.execute(_WATCHED).fetchall())
    found = [(rollout, read(plain, rollout.agent, rollout.id)) for rollout in rollouts]
    return [(rollout, kept) for rollout, kept in found if kept is not None]


def read(plain: sqlite3.Connection, agent: str, rollout_id: str) -> KeptEvidence | None:
    row = plain.execute(_READ, (agent, rollout_id)).fetchone()
    if row is None:
        return None
    return KeptEvidence(
        agent=row["agent"],
        rollout=row["rollout"],
        progress=orjson.loads(row["progress"]),
        tallies=orjson.loads(row["tallies"]),
        updated_at_microseconds=row["updated_at_microseconds"],
    )
