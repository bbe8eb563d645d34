"""The SQL of chains: plain functions that run on a connection's own thread."""

import sqlite3
from collections.abc import Sequence

from proxy.core.calls.chains import ChainBeginning
from proxy.store.ports.chains import KeptChain

_CHAINS = """
SELECT chain, agent, label, version, rollout, arm, noted_at_microseconds FROM response_chains
WHERE noted_at_microseconds >= ? ORDER BY noted_at_microseconds DESC LIMIT ?
"""
_KEEP = """
INSERT INTO response_chains (chain, agent, label, version, rollout, arm, noted_at_microseconds) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET label = excluded.label, version = excluded.version, rollout = excluded.rollout, arm = excluded.arm,
    noted_at_microseconds = excluded.noted_at_microseconds WHERE excluded.noted_at_microseconds >= noted_at_microseconds
"""
_COUNT = "SELECT COUNT(*) FROM response_chains"
_DROP = """
DELETE FROM response_chains WHERE (agent, chain) IN (
    SELECT agent, chain FROM response_chains WHERE noted_at_microseconds < ? ORDER BY noted_at_microseconds LIMIT ?
)
"""
_DROP_OLDEST = """
DELETE FROM response_chains WHERE (agent, chain) IN (
    SELECT agent, chain FROM response_chains ORDER BY noted_at_microseconds LIMIT ?
)
"""


def read_chains(plain: sqlite3.Connection, since_microseconds: int, most: int) -> list[KeptChain]:
    """The newest ones, noted since then; oldest first."""
    rows = plain.execute(_CHAINS, (since_microseconds, most)).fetchall()
    return [
        (chain, ChainBeginning(agent, label, version, rollout, arm), at)
        for chain, agent, label, version, rollout, arm, at in reversed(rows)
    ]


def write_chains(plain: sqlite3.Connection, chains: Sequence[KeptChain]) -> None:
    plain.executemany(
        _KEEP,
        [(chain, began.agent, began.label, began.version, began.rollout, began.arm, at) for chain, began, at in chains],
    )


def drop_chains(plain: sqlite3.Connection, before_microseconds: int, most_kept: int, most_dropped: int) -> int:
    """Drop some of those that were noted before then, or that are more than `most_kept`, oldest first; how many."""
    dropped = plain.execute(_DROP, (before_microseconds, most_dropped)).rowcount
    too_many = plain.execute(_COUNT).fetchone()[0] - most_kept
    if too_many > 0 and dropped < most_dropped:
        dropped += plain.execute(_DROP_OLDEST, (min(too_many, most_dropped - dropped),)).rowcount
    return dropped
