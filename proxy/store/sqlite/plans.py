"""The SQL of plans that have names: plain functions that run on a connection's own thread, for changes and lists alike."""

import sqlite3

from proxy.core.pages import Page
from proxy.core.rollouts.named_plans import NamedPlan
from proxy.store.rows.values import PLANS
from proxy.store.sqlite.statements.paging import fetched, key_of, page_of

_PLAN = "SELECT * FROM rollout_plans WHERE name = ?"
_PLANS = "SELECT * FROM rollout_plans WHERE name > ? ORDER BY name LIMIT ?"
SET_PLAN = """
INSERT INTO rollout_plans (name, plan, source, why, updated_by, updated_at_microseconds)
VALUES (:name, :plan, :source, :why, :updated_by, :updated_at_microseconds)
ON CONFLICT DO UPDATE SET plan = excluded.plan, source = excluded.source, why = excluded.why,
    updated_by = excluded.updated_by, updated_at_microseconds = excluded.updated_at_microseconds
"""
DELETE_PLAN = "DELETE FROM rollout_plans WHERE name = ?"


def read_plan(plain: sqlite3.Connection, name: str) -> NamedPlan | None:
    row = plain.execute(_PLAN, (name,)).fetchone()
    return None if row is None else PLANS.value(row)


def list_plans(plain: sqlite3.Connection, cursor: str | None, limit: int) -> Page[NamedPlan]:
    """By name."""
    (after,) = key_of(cursor, "")
    rows = plain.execute(_PLANS, (after, fetched(limit))).fetchall()
    return page_of(rows, limit, lambda shown: [PLANS.value(row) for row in shown], ("name",))
