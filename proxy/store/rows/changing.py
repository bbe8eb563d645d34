"""What rows that may change the audit log says there must be: documents of its entries -> columns, as they stand after the entry.

Of such a row the last entry that speaks about it says what it is now. An entry after which a row never changes again is final:
the row can be compared at once and forgotten. Counterparts: rows/sealed.py (rows that are written once), rows/values.py and
rows/access.py, which write the same values. Every SQL store shares these functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.core.proof.record_proof import Document, RowKey, Table
from proxy.core.spending.caps import shown_amount
from proxy.core.times import parse_rfc3339
from proxy.core.tokens import token_fingerprint
from proxy.store.rows.columns import Columns, json_text
from proxy.store.rows.sealed import wrong_column

#: By which columns rows are found.
KEYS: Mapping[Table, tuple[str, ...]] = {
    "agents": ("name",),
    "rollouts": ("agent", "id"),
    "switches": ("id",),
    "caps": ("id",),
    "tokens": ("id",),
    "protections": ("agent", "label"),
    "proposals": ("agent", "id"),
    "rollout_plans": ("name",),
}
#: Tables whose rows are numbered per agent, by the event that makes a row.
_NUMBERED: Mapping[str, Table] = {"rollout.started": "rollouts", "proposal.made": "proposals"}
#: Events after which the row is there no more.
_GONE = frozenset({"label.unprotected", "plan.deleted"})
_ROLLOUT_EVENTS = ("started", "share_changed", "arm_taken_out", "paused", "resumed", "promoted", "aborted")
_PROPOSAL_MEMBERS = frozenset(
    {
        "agent", "id", "state", "action", "label", "before", "version", "if_release", "proposed_by", "why", "evidence",
        "created_at", "decided_by", "decided_why", "decided_at",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StatedRow:
    """A row as an audit entry left it. `columns` None: it is gone. `made`: its number, where the entry made a numbered row."""

    entry: int
    table: Table
    columns: Columns | None
    key: Columns
    is_final: bool
    made: int | None = None

    @property
    def row_key(self) -> RowKey:
        return (self.table, *self.key.values())

    def wrong(self, row: Columns | None) -> str | None:
        """What is wrong with the row that is stored under the key, None for nothing."""
        if row is None:
            return "the row is missing"
        row = _as_newest(self.table, row)
        if self.table == "caps":
            # Compared as it is shown, which of limits of millions of dollars is less than all digits.
            row = {**row, "limit_amount": shown_amount(row["unit"], row["limit_amount"])}
        elif self.table == "tokens":
            row = {**row, "sha256": token_fingerprint(row["sha256"])}
        column = wrong_column(row, self.columns or {})
        return None if column is None else f"`{column}` is not what the audit entry says"


def _as_newest(table: Table, row: Columns) -> Columns:
    """A row of an earlier schema, which a check looks at as it is, as the newest schema has it."""
    if table == "caps" and "window" in row:
        return {"window_kind" if name == "window" else name: value for name, value in row.items()}
    return {"unapplied": "refuse", **row} if table == "agents" else row


def stated_row(entry: Document) -> StatedRow | None:
    """The row that may change again of which an entry speaks. Raises LookupError, TypeError, ValueError or Refusal for an
    entry that says it otherwise than this program does."""
    told = _TOLD.get(entry["what"])
    found = None if told is None else told(entry)
    if found is None:
        return None
    table, columns, is_final = found
    key = {name: columns[name] for name in KEYS[table]}
    made = int(columns["number"]) if entry["what"] in _NUMBERED else None
    is_gone = entry["what"] in _GONE
    return StatedRow(entry["number"], table, None if is_gone else columns, key, is_final, made)


_Told = tuple[Table, Columns, bool]


def _agent(entry: Document) -> _Told:
    document = entry["after"]
    columns = {
        "name": document["agent"],
        "description": document["description"],
        "default_label": document["default_label"],
        "allow_latest": int(document["allow_latest"]),
        # Entries from before there was this setting say nothing of it.
        "unapplied": document.get("unapplied", "refuse"),
        "archived": int(document["archived"]),
        "created_at_microseconds": _moment(document["created_at"]),
    }
    return "agents", columns, False


def _rollout(entry: Document) -> _Told:
    return _rollout_row(entry["after"])


def _rolled_back(entry: Document) -> _Told | None:
    """A rollback tells of a rollout only as it was; it ended with the release."""
    running = entry["before"]["rollout"]
    if running is None:
        return None
    return _rollout_row({**running, "state": "rolled_back", "ended_at": entry["after"]["created_at"]})


def _rollout_row(document: Document) -> _Told:
    same = ("agent", "id", "label", "salt", "state", "step", "created_by", "why")
    columns = {
        **{name: document[name] for name in same},
        "number": int(document["id"].removeprefix("r")),
        "eligible": json_text(document["eligible"]),
        # Entries of earlier releases know no plans.
        "plan": None if document.get("plan") is None else json_text(document["plan"]),
        "created_at_microseconds": _moment(document["created_at"]),
        "ended_at_microseconds": _optional_moment(document["ended_at"]),
    }
    return "rollouts", columns, document["ended_at"] is not None


def _switch(entry: Document) -> _Told:
    is_over = entry["what"] != "switch.on"
    document = entry["before" if is_over else "after"]
    columns = {
        **{name: document[name] for name in ("id", "mode", "why", "created_by", "fallback_version")},
        "scope": json_text(document["scope"]),
        "reply_text": document["reply"],
        "cut_streams": int(document["cut_streams"]),
        "created_at_microseconds": _moment(document["created_at"]),
        "expires_at_microseconds": _optional_moment(document["expires"]),
        **_end(entry, is_over),
    }
    return "switches", columns, is_over


def _cap(entry: Document) -> _Told:
    is_over = entry["what"] == "cap.ended"
    document = entry["before" if is_over else "after"]
    columns = {
        **{name: document[name] for name in ("id", "unit", "at_limit", "why", "created_by")},
        "window_kind": document["window"],
        "scope": json_text(document["scope"]),
        "limit_amount": document["limit"],
        "created_at_microseconds": _moment(document["created_at"]),
        **_end(entry, is_over),
    }
    return "caps", columns, is_over


def _end(entry: Document, is_over: bool) -> Columns:
    return {
        "ended_by": entry["who"] if is_over else None,
        "ended_at_microseconds": entry["at_microseconds"] if is_over else None,
    }


def _token(entry: Document) -> _Told:
    document = entry["after"]
    columns = {
        **{name: document[name] for name in ("id", "name", "role", "created_by", "revoked_by")},
        "sha256": document["fingerprint"],
        "created_at_microseconds": _moment(document["created_at"]),
        # Entries of before tokens could expire do not speak of it.
        "expires_at_microseconds": _optional_moment(document.get("expires_at")),
        "revoked_at_microseconds": _optional_moment(document["revoked_at"]),
    }
    return "tokens", columns, document["revoked_at"] is not None


def _protection(entry: Document) -> _Told:
    document = entry["before" if entry["what"] == "label.unprotected" else "after"]
    columns = {
        **{name: document[name] for name in ("agent", "label", "who_may_move")},
        "evaluation_required": int(document["evaluation_required"]),
        "approval_required": int(document["approval_required"]),
    }
    return "protections", columns, False


def _proposal(entry: Document) -> _Told:
    document = entry["after"]
    same = ("agent", "id", "state", "action", "label", "before", "version", "if_release", "proposed_by", "why")
    columns = {
        **{name: document[name] for name in (*same, "decided_by", "decided_why")},
        "number": int(document["id"].removeprefix("p")),
        "orders": json_text({name: value for name, value in document.items() if name not in _PROPOSAL_MEMBERS}),
        "evidence": json_text(document["evidence"]),
        "created_at_microseconds": _moment(document["created_at"]),
        "decided_at_microseconds": _optional_moment(document["decided_at"]),
    }
    return "proposals", columns, document["state"] != "waiting"


def _plan(entry: Document) -> _Told:
    document = entry["before" if entry["what"] in _GONE else "after"]
    columns = {
        **{name: document[name] for name in ("name", "why", "updated_by")},
        "plan": json_text(document["plan"]),
        "source": json_text(document["source"]),
        "updated_at_microseconds": _moment(document["updated_at"]),
    }
    return "rollout_plans", columns, False


_TOLD: Mapping[str, Callable[[Document], _Told | None]] = {
    **dict.fromkeys(("agent.created", "agent.updated", "agent.archived", "agent.unarchived"), _agent),
    **dict.fromkeys((f"rollout.{what}" for what in _ROLLOUT_EVENTS), _rollout),
    "label.rolled_back": _rolled_back,
    **dict.fromkeys(("switch.on", "switch.off", "switch.expired"), _switch),
    **dict.fromkeys(("cap.set", "cap.changed", "cap.ended"), _cap),
    **dict.fromkeys(("token.created", "token.revoked"), _token),
    **dict.fromkeys(("label.protected", "label.unprotected"), _protection),
    **dict.fromkeys(("plan.set", "plan.deleted"), _plan),
    **dict.fromkeys(("proposal.made", "proposal.approved", "proposal.rejected", "proposal.stale"), _proposal),
}


def _moment(text: Any) -> int:
    return parse_rfc3339(text, "created_at")


def _optional_moment(text: Any) -> int | None:
    return None if text is None else parse_rfc3339(text, "ended_at")
