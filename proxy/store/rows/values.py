"""Rows <-> core values: how each value is written as columns, and read back.

Column names are the values' own member names, but for those that an engine reserves; nested values are canonical JSON text,
booleans 0 and 1. Every SQL store shares these functions; which SQL brings the rows is the store's own matter. Runs, which come in
batches, are in rows/runs.py.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from proxy.core.canonical import canonical_json
from proxy.core.proof.audit import AuditEntry
from proxy.core.releasing.releases import Release
from proxy.core.scopes import DIMENSIONS, Scope, parse_scope
from proxy.core.snapshot import Agent, Arm, Rollout
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch
from proxy.core.versions.components import COMPONENT_KINDS, Bundle
from proxy.core.versions.versions import Version, VersionSummary

Columns = dict[str, Any]


class Row(Protocol):
    """A row read by column name."""

    def __getitem__(self, column: str, /) -> Any: ...


def json_text(value: Any) -> str:
    """`value` as canonical JSON text. Raises BadInput(`unrepresentable`)."""
    return canonical_json(value).decode()


def authored_json(value: Any) -> str:
    """`value` as JSON text in the order its author wrote, which models follow in schemas; its hash is over canonical JSON."""
    return orjson.dumps(value).decode()


def agent_columns(agent: Agent) -> Columns:
    return {
        "name": agent.name,
        "description": agent.description,
        "default_label": agent.default_label,
        "allow_latest": agent.allow_latest,
        "unapplied": agent.unapplied,
        "archived": agent.archived,
        "created_at_microseconds": agent.created_at_microseconds,
    }


def agent_of(row: Row) -> Agent:
    """`row` has, beside the agent's columns, `newest`: its highest version number."""
    return Agent(
        name=row["name"],
        description=row["description"],
        default_label=row["default_label"],
        allow_latest=bool(row["allow_latest"]),
        unapplied=row["unapplied"],
        archived=bool(row["archived"]),
        newest=row["newest"],
        created_at_microseconds=row["created_at_microseconds"],
    )


def version_columns(version: Version) -> Columns:
    return {
        "agent": version.agent,
        "number": version.number,
        "parent": version.parent,
        "bundle_hash": version.bundle.bundle_hash,
        **{kind: version.bundle.hashes[kind] for kind in COMPONENT_KINDS},
        "author": version.author,
        "message": version.message,
        "tested_against": json_text(version.tested_against),
        "source": json_text(version.source),
        "created_at_microseconds": version.created_at_microseconds,
    }


def version_of(row: Row, bundle: Bundle) -> Version:
    return Version(
        agent=row["agent"],
        number=row["number"],
        bundle=bundle,
        parent=row["parent"],
        author=row["author"],
        message=row["message"],
        created_at_microseconds=row["created_at_microseconds"],
        tested_against=orjson.loads(row["tested_against"]),
        source=orjson.loads(row["source"]),
    )


def summary_of(row: Row) -> VersionSummary:
    return VersionSummary(
        agent=row["agent"],
        number=row["number"],
        bundle_hash=row["bundle_hash"],
        hashes={kind: row[kind] for kind in COMPONENT_KINDS},
        parent=row["parent"],
        author=row["author"],
        message=row["message"],
        created_at_microseconds=row["created_at_microseconds"],
        tested_against=orjson.loads(row["tested_against"]),
        source=orjson.loads(row["source"]),
    )


def release_columns(release: Release) -> Columns:
    return {
        "agent": release.agent,
        "number": release.number,
        "kind": release.kind,
        "label": release.label,
        "arm_count": len(release.arms),
        "salt": release.salt,
        "rollout": release.rollout,
        "who": release.who,
        "approved_by": release.approved_by,
        "why": release.why,
        "evidence": json_text(list(release.evidence)),
        "undoes": release.undoes,
        "created_at_microseconds": release.created_at_microseconds,
    }


def release_of(row: Row, arms: tuple[Arm, ...]) -> Release:
    return Release(
        agent=row["agent"],
        number=row["number"],
        kind=row["kind"],
        label=row["label"],
        arms=arms,
        salt=row["salt"],
        rollout=row["rollout"],
        who=row["who"],
        approved_by=row["approved_by"],
        why=row["why"],
        created_at_microseconds=row["created_at_microseconds"],
        evidence=tuple(orjson.loads(row["evidence"])),
        undoes=row["undoes"],
    )


def arm_columns(release: Release) -> list[Columns]:
    return [
        {
            "agent": release.agent,
            "release": release.number,
            "position": position,
            "name": arm.name,
            "version": arm.version,
            "ranges": json_text(arm.ranges),
        }
        for position, arm in enumerate(release.arms)
    ]


def arm_of(row: Row) -> Arm:
    ranges: list[list[int]] = orjson.loads(row["ranges"])
    return Arm(row["name"], row["version"], tuple((start, end) for start, end in ranges))


def rollout_columns(rollout: Rollout) -> Columns:
    return {
        "agent": rollout.agent,
        "id": rollout.id,
        "label": rollout.label,
        "salt": rollout.salt,
        "state": rollout.state,
        "step": rollout.step,
        "eligible": json_text(rollout.eligible),
        "plan": None if rollout.plan is None else json_text(rollout.plan),
        "created_by": rollout.created_by,
        "why": rollout.why,
        "created_at_microseconds": rollout.created_at_microseconds,
        "ended_at_microseconds": rollout.ended_at_microseconds,
    }


def rollout_of(row: Row, arms: tuple[Arm, ...]) -> Rollout:
    return Rollout(
        id=row["id"],
        agent=row["agent"],
        label=row["label"],
        salt=row["salt"],
        arms=arms,
        state=row["state"],
        step=row["step"],
        eligible=orjson.loads(row["eligible"]),
        plan=None if row["plan"] is None else orjson.loads(row["plan"]),
        created_by=row["created_by"],
        why=row["why"],
        created_at_microseconds=row["created_at_microseconds"],
        ended_at_microseconds=row["ended_at_microseconds"],
    )


def switch_columns(switch: Switch) -> Columns:
    return {
        "id": switch.id,
        "scope": json_text(switch.scope.content()),
        "mode": switch.mode,
        "reply_text": switch.reply_text,
        "fallback_version": switch.fallback_version,
        "cut_streams": switch.cut_streams,
        "why": switch.why,
        "created_by": switch.created_by,
        "created_at_microseconds": switch.created_at_microseconds,
        "expires_at_microseconds": switch.expires_at_microseconds,
    }


def switch_of(row: Row) -> Switch:
    return Switch(
        id=row["id"],
        scope=_scope_of(row),
        mode=row["mode"],
        why=row["why"],
        created_by=row["created_by"],
        created_at_microseconds=row["created_at_microseconds"],
        expires_at_microseconds=row["expires_at_microseconds"],
        reply_text=row["reply_text"],
        fallback_version=row["fallback_version"],
        cut_streams=bool(row["cut_streams"]),
    )


def cap_columns(cap: Cap) -> Columns:
    return {
        "id": cap.id,
        "scope": json_text(cap.scope.content()),
        "window_kind": cap.window,
        "unit": cap.unit,
        "limit_amount": cap.limit_amount,
        "at_limit": cap.at_limit,
        "why": cap.why,
        "created_by": cap.created_by,
        "created_at_microseconds": cap.created_at_microseconds,
    }


def cap_of(row: Row) -> Cap:
    return Cap(
        id=row["id"],
        scope=_scope_of(row),
        window=row["window_kind"],
        unit=row["unit"],
        limit_amount=row["limit_amount"],
        at_limit=row["at_limit"],
        why=row["why"],
        created_by=row["created_by"],
        created_at_microseconds=row["created_at_microseconds"],
    )


def _scope_of(row: Row) -> Scope:
    return parse_scope(orjson.loads(row["scope"]), DIMENSIONS)


def audit_columns(entry: AuditEntry) -> Columns:
    return {
        "number": entry.number,
        "format": entry.format,
        "who": entry.who,
        "what": entry.what,
        "subject": entry.subject,
        "why": entry.why,
        "before": _optional_json(entry.before),
        "after": _optional_json(entry.after),
        "evidence": json_text(list(entry.evidence)),
        "previous": entry.previous,
        "hash": entry.hash,
        "at_microseconds": entry.at_microseconds,
    }


def audit_entry_of(row: Row) -> AuditEntry:
    return AuditEntry(
        number=row["number"],
        who=row["who"],
        what=row["what"],
        subject=row["subject"],
        why=row["why"],
        at_microseconds=row["at_microseconds"],
        before=_optional_value(row["before"]),
        after=_optional_value(row["after"]),
        evidence=tuple(orjson.loads(row["evidence"])),
        previous=row["previous"],
        hash=row["hash"],
        format=row["format"],
    )


def _optional_json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json_text(value)


def _optional_value(text: str | None) -> dict[str, Any] | None:
    return None if text is None else orjson.loads(text)
