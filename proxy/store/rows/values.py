"""Rows <-> core values: the column table of each value, which is written and read back by it.

Nested values are canonical JSON text, booleans 0 and 1. Every SQL store shares these tables; which SQL brings the rows is the store's
own matter. Runs, which come in batches, are in rows/runs.py, tokens, protections and proposals in rows/access.py.
"""

from typing import Any

import orjson

from proxy.core.proof.audit import AuditEntry
from proxy.core.releasing.releases import Release
from proxy.core.rollouts.named_plans import NamedPlan
from proxy.core.scopes import DIMENSIONS, parse_scope
from proxy.core.snapshot import Agent, Arm, Rollout
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch
from proxy.core.versions.components import COMPONENT_KINDS, Bundle
from proxy.core.versions.versions import Version, VersionSummary
from proxy.store.rows.columns import FLAG, JSON, JSON_LIST, OPTIONAL_JSON, Columns, ColumnTable, Kept, Row, json_text

_SCOPE = Kept(
    lambda scope: json_text(scope.content()), lambda text: parse_scope(orjson.loads(text), DIMENSIONS)
)  # fmt: skip
_AGENTS = ColumnTable(Agent, apart=["newest"], allow_latest=FLAG, archived=FLAG)
_VERSIONS = ColumnTable(Version, apart=["bundle"], tested_against=JSON, source=JSON)
_SUMMARIES = ColumnTable(VersionSummary, apart=["hashes"], tested_against=JSON, source=JSON)
_RELEASES = ColumnTable(Release, apart=["arms"], evidence=JSON_LIST)
_ROLLOUTS = ColumnTable(Rollout, apart=["arms"], eligible=JSON, plan=OPTIONAL_JSON)
SWITCHES = ColumnTable(Switch, scope=_SCOPE, cut_streams=FLAG)
CAPS = ColumnTable(Cap, scope=_SCOPE, window=Kept(column="window_kind"))
PLANS = ColumnTable(NamedPlan, plan=JSON, source=JSON)
AUDIT = ColumnTable(AuditEntry, before=OPTIONAL_JSON, after=OPTIONAL_JSON, evidence=JSON_LIST)


def authored_json(value: Any) -> str:
    """`value` as JSON text in the order its author wrote, which models follow in schemas; its hash is over canonical JSON."""
    return orjson.dumps(value).decode()


def agent_columns(agent: Agent) -> Columns:
    return _AGENTS.columns(agent)


def agent_of(row: Row) -> Agent:
    """`row` has, beside the agent's columns, `newest`: its highest version number."""
    return _AGENTS.value(row, newest=row["newest"])


def version_columns(version: Version) -> Columns:
    hashes = {kind: version.bundle.hashes[kind] for kind in COMPONENT_KINDS}
    return {**_VERSIONS.columns(version), "bundle_hash": version.bundle.bundle_hash, **hashes}


def version_of(row: Row, bundle: Bundle) -> Version:
    return _VERSIONS.value(row, bundle=bundle)


def summary_of(row: Row) -> VersionSummary:
    return _SUMMARIES.value(row, hashes={kind: row[kind] for kind in COMPONENT_KINDS})


def release_columns(release: Release) -> Columns:
    return {**_RELEASES.columns(release), "arm_count": len(release.arms)}


def release_of(row: Row, arms: tuple[Arm, ...]) -> Release:
    return _RELEASES.value(row, arms=arms)


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
    return _ROLLOUTS.columns(rollout)


def rollout_of(row: Row, arms: tuple[Arm, ...]) -> Rollout:
    return _ROLLOUTS.value(row, arms=arms)
