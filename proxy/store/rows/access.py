"""Rows <-> tokens, protections and proposals: who may change what, and what waits for a second person.

The same rules as in rows/values.py, and shared by every SQL store in the same way.
"""

import orjson

from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.protection import Protection
from proxy.core.tokens import Token
from proxy.store.rows.values import Columns, Row, json_text


def token_columns(token: Token) -> Columns:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "sha256": token.sha256,
        "created_by": token.created_by,
        "created_at_microseconds": token.created_at_microseconds,
        "expires_at_microseconds": token.expires_at_microseconds,
        "revoked_by": token.revoked_by,
        "revoked_at_microseconds": token.revoked_at_microseconds,
    }


def token_of(row: Row) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        sha256=row["sha256"],
        created_by=row["created_by"],
        created_at_microseconds=row["created_at_microseconds"],
        expires_at_microseconds=row["expires_at_microseconds"],
        revoked_by=row["revoked_by"],
        revoked_at_microseconds=row["revoked_at_microseconds"],
    )


def protection_columns(protection: Protection) -> Columns:
    return {
        "agent": protection.agent,
        "label": protection.label,
        "who_may_move": protection.who_may_move,
        "evaluation_required": protection.evaluation_required,
        "approval_required": protection.approval_required,
    }


def protection_of(row: Row) -> Protection:
    return Protection(
        agent=row["agent"],
        label=row["label"],
        who_may_move=row["who_may_move"],
        evaluation_required=bool(row["evaluation_required"]),
        approval_required=bool(row["approval_required"]),
    )


def proposal_columns(proposal: Proposal) -> Columns:
    return {
        "agent": proposal.agent,
        "id": proposal.id,
        "action": proposal.action,
        "label": proposal.label,
        "before": proposal.before,
        "version": proposal.version,
        "if_release": proposal.if_release,
        "orders": json_text(proposal.order),
        "proposed_by": proposal.proposed_by,
        "why": proposal.why,
        "evidence": json_text(list(proposal.evidence)),
        "created_at_microseconds": proposal.created_at_microseconds,
        "state": proposal.state,
        "decided_by": proposal.decided_by,
        "decided_why": proposal.decided_why,
        "decided_at_microseconds": proposal.decided_at_microseconds,
    }


def proposal_of(row: Row) -> Proposal:
    return Proposal(
        agent=row["agent"],
        id=row["id"],
        action=row["action"],
        label=row["label"],
        before=row["before"],
        version=row["version"],
        if_release=row["if_release"],
        order=orjson.loads(row["orders"]),
        proposed_by=row["proposed_by"],
        why=row["why"],
        evidence=tuple(orjson.loads(row["evidence"])),
        created_at_microseconds=row["created_at_microseconds"],
        state=row["state"],
        decided_by=row["decided_by"],
        decided_why=row["decided_why"],
        decided_at_microseconds=row["decided_at_microseconds"],
    )
