"""The SQL of tokens, protections and proposals: plain functions that run on a connection's own thread.

Reads serve changes and lists alike. What may be altered in these tables is held by the schema's triggers; whether it is
allowed is decided by the caller with core's rules.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.core.pages import Page
from proxy.core.releasing.proposals import Proposal, ProposalState
from proxy.core.releasing.protection import Protection
from proxy.core.tokens import Token
from proxy.store.rows.access import PROPOSALS, PROTECTIONS, TOKENS
from proxy.store.sqlite.statements.paging import BEFORE_FIRST, fetched, key_of, page_of

_TOKENS = """
SELECT * FROM tokens WHERE (created_at_microseconds, id) < (?, ?)
ORDER BY created_at_microseconds DESC, id DESC LIMIT ?
"""
_ACTIVE = "SELECT * FROM tokens WHERE revoked_at_microseconds IS NULL"
_ACTIVE_BY_ID = "SELECT * FROM tokens WHERE id = ? AND revoked_at_microseconds IS NULL"
REVOCATION = """
UPDATE tokens SET revoked_by = ?, revoked_at_microseconds = ? WHERE id = ? AND revoked_at_microseconds IS NULL
"""
_LAST_USES = "SELECT token, used_at_microseconds FROM token_uses"
# Later ones only: a clock may be set back. A token that is none any more is not kept.
_KEEP_USE = """
INSERT INTO token_uses (token, used_at_microseconds) SELECT :token, :used_at
WHERE EXISTS (SELECT 1 FROM tokens WHERE id = :token)
ON CONFLICT DO UPDATE SET used_at_microseconds = MAX(used_at_microseconds, excluded.used_at_microseconds)
"""
_PROTECTION = "SELECT * FROM protections WHERE agent = ? AND label = ?"
_PROTECTIONS = "SELECT * FROM protections WHERE agent = ? ORDER BY label"
SET_PROTECTION = """
INSERT INTO protections (agent, label, who_may_move, evaluation_required, approval_required)
VALUES (:agent, :label, :who_may_move, :evaluation_required, :approval_required)
ON CONFLICT DO UPDATE SET who_may_move = excluded.who_may_move, evaluation_required = excluded.evaluation_required,
    approval_required = excluded.approval_required
"""
END_PROTECTION = "DELETE FROM protections WHERE agent = ? AND label = ?"
_NEXT_PROPOSAL = "SELECT COALESCE(MAX(number), 0) + 1 FROM proposals WHERE agent = ?"
_PROPOSAL = "SELECT * FROM proposals WHERE agent = ? AND id = ?"
_PROPOSALS = "SELECT * FROM proposals WHERE agent = ? AND number < ? ORDER BY number DESC LIMIT ?"
_PROPOSALS_BY_STATE = """
SELECT * FROM proposals WHERE agent = ? AND state = ? AND number < ? ORDER BY number DESC LIMIT ?
"""
_WAITING = "SELECT * FROM proposals WHERE agent = ? AND label = ? AND state = 'waiting' ORDER BY number"
_INSERT_PROPOSAL = """
INSERT INTO proposals (agent, id, number, action, label, before, version, if_release, orders, proposed_by, why, evidence,
    created_at_microseconds, state, decided_by, decided_why, decided_at_microseconds)
VALUES (:agent, :id, (SELECT COALESCE(MAX(number), 0) + 1 FROM proposals WHERE agent = :agent), :action, :label, :before,
    :version, :if_release, :orders, :proposed_by, :why, :evidence, :created_at_microseconds, :state, :decided_by,
    :decided_why, :decided_at_microseconds)
"""
DECIDE_PROPOSAL = """
UPDATE proposals SET state = :state, decided_by = :decided_by, decided_why = :decided_why,
    decided_at_microseconds = :decided_at_microseconds
WHERE agent = :agent AND id = :id AND state = 'waiting'
"""


def list_tokens(plain: sqlite3.Connection, cursor: str | None, limit: int) -> Page[Token]:
    """Newest first, revoked ones among them."""
    created_at, token_id = key_of(cursor, BEFORE_FIRST, "")
    rows = plain.execute(_TOKENS, (created_at, token_id, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: [TOKENS.value(row) for row in shown], ("created_at_microseconds", "id"))


def read_active_tokens(plain: sqlite3.Connection) -> dict[str, Token]:
    """The tokens that are not revoked, by hash."""
    return {row["sha256"]: TOKENS.value(row) for row in plain.execute(_ACTIVE)}


def read_active_token(plain: sqlite3.Connection, token_id: str) -> Token | None:
    row = plain.execute(_ACTIVE_BY_ID, (token_id,)).fetchone()
    return None if row is None else TOKENS.value(row)


def read_token_uses(plain: sqlite3.Connection) -> dict[str, int]:
    """When each token was last used, UTC microseconds, by its id; of those that were."""
    return dict(plain.execute(_LAST_USES).fetchall())


def write_token_uses(plain: sqlite3.Connection, uses: Mapping[str, int]) -> None:
    plain.executemany(_KEEP_USE, [{"token": token, "used_at": at} for token, at in uses.items()])


def read_protection(plain: sqlite3.Connection, agent: str, label: str) -> Protection | None:
    row = plain.execute(_PROTECTION, (agent, label)).fetchone()
    return None if row is None else PROTECTIONS.value(row)


def read_protections(plain: sqlite3.Connection, agent: str) -> list[Protection]:
    """Of all labels of an agent, by name."""
    return [PROTECTIONS.value(row) for row in plain.execute(_PROTECTIONS, (agent,))]


def next_proposal_id(plain: sqlite3.Connection, agent: str) -> str:
    return f"p{plain.execute(_NEXT_PROPOSAL, (agent,)).fetchone()[0]}"


def insert_proposal(plain: sqlite3.Connection, proposal: Proposal) -> None:
    plain.execute(_INSERT_PROPOSAL, PROPOSALS.columns(proposal))


def read_proposal(plain: sqlite3.Connection, agent: str, proposal_id: str) -> Proposal | None:
    row = plain.execute(_PROPOSAL, (agent, proposal_id)).fetchone()
    return None if row is None else PROPOSALS.value(row)


def read_waiting(plain: sqlite3.Connection, agent: str, label: str) -> list[Proposal]:
    """The proposals about a label that nobody has decided, oldest first."""
    return [PROPOSALS.value(row) for row in plain.execute(_WAITING, (agent, label))]


def list_proposals(
    plain: sqlite3.Connection, agent: str, state: ProposalState | None, cursor: str | None, limit: int
) -> Page[Proposal]:
    """Newest first."""
    (before,) = key_of(cursor, BEFORE_FIRST)
    statement = _PROPOSALS if state is None else _PROPOSALS_BY_STATE
    narrowing: Sequence[Any] = (agent,) if state is None else (agent, state)
    rows = plain.execute(statement, (*narrowing, before, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: [PROPOSALS.value(row) for row in shown], ("number",))
