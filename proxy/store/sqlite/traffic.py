"""Reading what traffic is decided on: agents with their labels, rollouts and reachable versions, switches, caps.

A fixed number of statements, however many agents: keys go in as one JSON array and SQLite joins with it. Reachable are the
versions of labels, of the arms of active rollouts, of fallback switches, and the newest where an agent allows `latest`.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

import orjson

from proxy.core.snapshot import Agent, AgentState, Arm, Label, Rollout, Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.switches import Switch
from proxy.core.versions.components import COMPONENT_KINDS, Bundle, ComponentKind, bundle_of, parse_component
from proxy.core.versions.versions import Version
from proxy.store.rows.columns import Row, json_text
from proxy.store.rows.values import CAPS, SWITCHES, agent_of, arm_of, rollout_of, version_of
from proxy.store.sqlite.access import read_active_tokens

#: An agent and a number of one of its versions or releases.
NumberKey = tuple[str, int]

_AGENTS = """
SELECT agents.*, (SELECT COALESCE(MAX(number), 0) FROM versions WHERE agent = agents.name) AS newest
FROM json_each(?) AS wanted CROSS JOIN agents ON agents.name = wanted.value
"""
_LABELS = "SELECT labels.* FROM json_each(?) AS wanted CROSS JOIN labels ON labels.agent = wanted.value"
# The states are those of the index rollouts_active.
_ACTIVE_ROLLOUTS = """
SELECT rollouts.* FROM json_each(?) AS wanted CROSS JOIN rollouts ON rollouts.agent = wanted.value
WHERE rollouts.state IN ('running', 'paused')
"""
# A rollout's last split: the release that ended it has the arms of what came after.
_ROLLOUT_RELEASES = """
SELECT json_extract(wanted.value, '$[0]') AS agent, json_extract(wanted.value, '$[1]') AS rollout, (
    SELECT MAX(number) FROM releases
    WHERE agent = json_extract(wanted.value, '$[0]') AND rollout = json_extract(wanted.value, '$[1]')
        AND kind IN ('rollout_started', 'share_changed')
) AS release
FROM json_each(?) AS wanted
"""
_ARMS = """
SELECT release_arms.* FROM json_each(?) AS wanted CROSS JOIN release_arms
    ON release_arms.agent = json_extract(wanted.value, '$[0]') AND release = json_extract(wanted.value, '$[1]')
ORDER BY release_arms.agent, release, position
"""
_VERSIONS = """
SELECT versions.* FROM json_each(?) AS wanted CROSS JOIN versions
    ON versions.agent = json_extract(wanted.value, '$[0]') AND number = json_extract(wanted.value, '$[1]')
"""
_COMPONENTS = """
SELECT hash, content FROM json_each(?) AS wanted CROSS JOIN components ON components.hash = wanted.value
"""
_SWITCHES = "SELECT * FROM switches WHERE ended_at_microseconds IS NULL ORDER BY created_at_microseconds, id"
_CAPS = "SELECT * FROM caps WHERE ended_at_microseconds IS NULL ORDER BY created_at_microseconds, id"


def read_snapshot(plain: sqlite3.Connection) -> Snapshot:
    """Everything, without archived agents, at the revision of the last change."""
    names = [row["name"] for row in plain.execute("SELECT name FROM agents WHERE archived = 0")]
    switches = read_switches(plain)
    return Snapshot(
        revision=plain.execute("SELECT revision FROM meta").fetchone()[0],
        agents=_states(plain, names, switches),
        switches=switches,
        caps=read_caps(plain),
        tokens=read_active_tokens(plain),
    )


def read_agent_state(plain: sqlite3.Connection, name: str) -> AgentState | None:
    """One agent, also an archived one."""
    return read_agent_states(plain, [name]).get(name)


def read_agent_states(plain: sqlite3.Connection, names: Sequence[str]) -> dict[str, AgentState]:
    """Those of these agents that there are, also archived ones."""
    return _states(plain, names, read_switches(plain)) if names else {}


def read_switches(plain: sqlite3.Connection) -> tuple[Switch, ...]:
    """The switches that are on, oldest first."""
    return tuple(SWITCHES.value(row) for row in plain.execute(_SWITCHES))


def read_caps(plain: sqlite3.Connection) -> tuple[Cap, ...]:
    """The caps in force, oldest first."""
    return tuple(CAPS.value(row) for row in plain.execute(_CAPS))


def read_agent(plain: sqlite3.Connection, name: str) -> Agent | None:
    row = plain.execute(_AGENTS, (json_text([name]),)).fetchone()
    return None if row is None else agent_of(row)


def read_version(plain: sqlite3.Connection, agent: str, number: int) -> Version | None:
    return _read_versions(plain, [(agent, number)]).get((agent, number))


def _states(plain: sqlite3.Connection, names: Sequence[str], switches: Iterable[Switch]) -> dict[str, AgentState]:
    wanted = json_text(names)
    agents = [agent_of(row) for row in plain.execute(_AGENTS, (wanted,))]
    labels: defaultdict[str, dict[str, Label]] = defaultdict(dict)
    for row in plain.execute(_LABELS, (wanted,)):
        labels[row["agent"]][row["name"]] = Label(row["name"], row["version"], row["release"])
    rollouts: defaultdict[str, dict[str, Rollout]] = defaultdict(dict)
    for rollout in rollouts_of(plain, plain.execute(_ACTIVE_ROLLOUTS, (wanted,)).fetchall()):
        rollouts[rollout.agent][rollout.label] = rollout
    reachable = [
        (agent.name, number)
        for agent in agents
        for number in _reachable(agent, labels[agent.name], rollouts[agent.name], switches)
    ]
    versions: defaultdict[str, dict[int, Version]] = defaultdict(dict)
    for (name, number), version in _read_versions(plain, reachable).items():
        versions[name][number] = version
    return {
        agent.name: AgentState(agent, labels[agent.name], rollouts[agent.name], versions[agent.name])
        for agent in agents
    }


def _reachable(
    agent: Agent, labels: dict[str, Label], rollouts: dict[str, Rollout], switches: Iterable[Switch]
) -> set[int]:
    numbers = {label.version for label in labels.values()}
    numbers.update(arm.version for rollout in rollouts.values() for arm in rollout.arms)
    numbers.update(
        switch.fallback_version
        for switch in switches
        if switch.fallback_version is not None and switch.scope.agent in (None, agent.name)
    )
    if agent.allow_latest:
        numbers.add(agent.newest)
    return numbers


def rollouts_of(plain: sqlite3.Connection, rows: Sequence[Row]) -> list[Rollout]:
    """Rollouts from their rows, with the arms of the last split each of them had; none before its first release."""
    keys = json_text([(row["agent"], row["id"]) for row in rows])
    releases = {
        (found["agent"], found["rollout"]): found["release"] for found in plain.execute(_ROLLOUT_RELEASES, (keys,))
    }
    arms = arms_of(plain, [(agent, release) for (agent, _), release in releases.items() if release is not None])
    return [rollout_of(row, arms.get((row["agent"], releases[row["agent"], row["id"]]), ())) for row in rows]


def arms_of(plain: sqlite3.Connection, releases: Iterable[NumberKey]) -> dict[NumberKey, tuple[Arm, ...]]:
    """The arms of each of these releases, in order."""
    arms: defaultdict[NumberKey, list[Arm]] = defaultdict(list)
    for row in plain.execute(_ARMS, (json_text(list(releases)),)):
        arms[row["agent"], row["release"]].append(arm_of(row))
    return {key: tuple(found) for key, found in arms.items()}


def versions_of(plain: sqlite3.Connection, rows: Sequence[Row]) -> list[Version]:
    """Versions from their rows. Each bundle and each component is read, parsed and held once, however many have it."""
    by_bundle = {row["bundle_hash"]: row for row in rows}
    kinds: dict[str, ComponentKind] = {row[kind]: kind for row in by_bundle.values() for kind in COMPONENT_KINDS}
    components = {
        found["hash"]: parse_component(kinds[found["hash"]], orjson.loads(found["content"]))
        for found in plain.execute(_COMPONENTS, (json_text(sorted(kinds)),))
    }
    bundles: dict[str, Bundle] = {
        bundle_hash: bundle_of({kind: components[row[kind]] for kind in COMPONENT_KINDS})
        for bundle_hash, row in by_bundle.items()
    }
    return [version_of(row, bundles[row["bundle_hash"]]) for row in rows]


def _read_versions(plain: sqlite3.Connection, keys: Sequence[NumberKey]) -> dict[NumberKey, Version]:
    rows = plain.execute(_VERSIONS, (json_text(keys),)).fetchall()
    return {(version.agent, version.number): version for version in versions_of(plain, rows)}
