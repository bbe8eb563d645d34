"""What rollouts are judged on: one row a rollout, replaced tick by tick."""

import sqlite3
from collections.abc import Sequence

import orjson

from proxy.store.ports.rollouts import KeptEvidence
from proxy.store.rows.values import json_text

_KEEP = """
INSERT INTO rollout_evidence (agent, rollout, progress, tallies, updated_at_microseconds) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (agent, rollout) DO UPDATE SET progress = excluded.progress, tallies = excluded.tallies,
    updated_at_microseconds = excluded.updated_at_microseconds
"""
_READ = "SELECT * FROM rollout_evidence WHERE agent = ? AND rollout = ?"


def keep(plain: sqlite3.Connection, kept: Sequence[KeptEvidence]) -> None:
    rows = [
        (one.agent, one.rollout, json_text(one.progress), json_text(one.tallies), one.updated_at_microseconds)
        for one in kept
    ]
    plain.executemany(_KEEP, rows)


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
