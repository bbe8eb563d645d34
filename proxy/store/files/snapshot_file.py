"""The last known good state as one JSON file: `last-known-good.json`, whole or not at all.

Format 1: `{"format":1,"sha256":"...","content":{...}}` on one line; the checksum is over the bytes of `content` as they stand in
the file. Inside are the rows a store would hold (rows/values.py), with agents one by one; names in it stay what they were when a column is
called otherwise, and what a file of an earlier release lacks is put in when it is read, so that releases read each other's file.
Written beside and renamed, so that a crash leaves the old file or the new one. Counterpart: runtime/state/last_known_good.py, which says when.

Decision: each agent's bytes are kept and written again as they are while its state is the same object, so that a change costs
the encoding of one agent, not of a thousand.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson

from proxy.core.errors import Refusal, Unavailable
from proxy.core.proof.known_good import AgentPast, KnownGood
from proxy.core.snapshot import AgentState, Arm, Label, Rollout, Snapshot
from proxy.core.spending.caps import Cap
from proxy.core.versions.components import COMPONENT_KINDS, Bundle, Component, ComponentKind, bundle_of, parse_component
from proxy.core.versions.versions import Version
from proxy.store.files.private_file import read_private, replace_private
from proxy.store.files.release_lines import arm_line, release_line, release_of_line
from proxy.store.rows.access import TOKENS
from proxy.store.rows.values import (
    CAPS,
    SWITCHES,
    agent_columns,
    agent_of,
    arm_of,
    rollout_columns,
    rollout_of,
    version_columns,
    version_of,
)

FILE_NAME = "last-known-good.json"
_FORMAT = 1
_NO_PAST = AgentPast()
_HEAD = re.compile(rb'\{"format":(\d+),"sha256":"([0-9a-f]{64})","content":')
_TAIL = b"}\n"


class SnapshotFile:
    """The file. Its methods block; they are called on a thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: What is there could not be read, and is not written over.
        self._is_unreadable = False
        self._encoded: dict[str, tuple[AgentState, AgentPast, bytes]] = {}

    def read(self) -> KnownGood | None:
        """What is kept, None where there is no file. Raises Unavailable(`known_good_unusable`)."""
        try:
            known = self._read()
        except Unavailable:
            self._is_unreadable = True
            raise
        self._is_unreadable = False
        return known

    def _read(self) -> KnownGood | None:
        try:
            raw = read_private(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(f"cannot be read: {error.strerror}") from error
        head = _HEAD.match(raw)
        if head is not None and int(head[1]) != _FORMAT:
            raise _unusable(f"has format {int(head[1])}; this release knows {_FORMAT}")
        content = memoryview(raw)[head.end() : -len(_TAIL)] if head is not None and raw.endswith(_TAIL) else None
        if head is None or content is None or hashlib.sha256(content).hexdigest().encode() != head[2]:
            raise _unusable("is damaged: its checksum does not fit")
        try:
            return _known_good_of(msgspec.json.decode(content, type=_Content))
        except (LookupError, TypeError, ValueError, msgspec.MsgspecError, Refusal) as error:
            raise _unusable("was written by a release that kept other things") from error

    def write(self, known: KnownGood) -> None:
        """Put `known` in the place of what is kept. Raises Unavailable(`known_good_unusable`)."""
        content = self._encode(known)
        checksum = hashlib.sha256()
        for piece in content:
            checksum.update(piece)
        head = b'{"format":%d,"sha256":"%s","content":' % (_FORMAT, checksum.hexdigest().encode())
        try:
            replace_private(self._path, (head, *content, _TAIL), self._set_unreadable_aside)
        except OSError as error:
            raise _unusable(f"cannot be written: {error.strerror}") from error

    def _set_unreadable_aside(self) -> None:
        if self._is_unreadable:
            self._path.rename(self._path.with_name(f"{self._path.name}.unreadable"))
            self._is_unreadable = False

    def _encode(self, known: KnownGood) -> list[bytes]:
        """The content in pieces: as one it would be a second copy of everything."""
        snapshot, encoded = known.snapshot, dict[str, tuple[AgentState, AgentPast, bytes]]()
        for name, state in snapshot.agents.items():
            past = known.pasts.get(name, _NO_PAST)
            kept = self._encoded.get(name)
            is_same = kept is not None and kept[0] is state and kept[1] is past
            encoded[name] = kept if kept and is_same else (state, past, _encoded_agent(state, past))
        self._encoded = encoded
        beside: dict[str, Any] = {
            "installation": known.installation,
            "revision": snapshot.revision,
            "switches": [SWITCHES.columns(switch) for switch in snapshot.switches],
            "caps": [_cap_line(cap) for cap in snapshot.caps],
            "tokens": [TOKENS.columns(token) for token in snapshot.tokens.values()],
        }
        pieces = [orjson.dumps(beside)[:-1], b',"agents":[']
        for index, one in enumerate(encoded.values()):
            pieces += (b",", one[2]) if index else (one[2],)
        return [*pieces, b"]}"]


class _Content(msgspec.Struct):
    """The file's content. Agents are decoded one by one: a thousand of them as JSON objects would take several times the memory
    of what is made of them."""

    installation: str
    revision: int
    agents: list[msgspec.Raw]
    switches: list[dict[str, Any]]
    caps: list[dict[str, Any]]
    tokens: list[dict[str, Any]]


#: Parsed components by the hash they were written under: agents often have some in common.
_Parsed = dict[str, Component]


def _known_good_of(content: _Content) -> KnownGood:
    parsed: _Parsed = {}
    agents = [_agent_of_line(orjson.loads(memoryview(line)), parsed) for line in content.agents]
    # A file of an earlier release knows tokens that do not expire.
    tokens = [TOKENS.value({"expires_at_microseconds": None, **row}) for row in content.tokens]
    snapshot = Snapshot(
        revision=content.revision,
        agents={state.agent.name: state for state, _ in agents},
        switches=tuple(SWITCHES.value(row) for row in content.switches),
        caps=tuple(_cap_of_line(row) for row in content.caps),
        tokens={token.sha256: token for token in tokens},
    )
    pasts = {state.agent.name: past for state, past in agents}
    return KnownGood(installation=content.installation, snapshot=snapshot, pasts=pasts)


def _cap_line(cap: Cap) -> dict[str, Any]:
    columns = CAPS.columns(cap)
    columns["window"] = columns.pop("window_kind")
    return columns


def _cap_of_line(line: Mapping[str, Any]) -> Cap:
    # A day long it was called as the column is.
    return CAPS.value({"window_kind": line.get("window"), **line})


def _encoded_agent(state: AgentState, past: AgentPast) -> bytes:
    # A copy, because the encoder's own bytes sit in a buffer of several times their size.
    return bytes(memoryview(orjson.dumps(_agent_line(state, past))))


def _agent_line(state: AgentState, past: AgentPast) -> dict[str, Any]:
    return {
        "agent": {**agent_columns(state.agent), "newest": state.agent.newest},
        "labels": [[label.name, label.version, label.release] for label in state.labels.values()],
        "rollouts": [
            {**rollout_columns(rollout), "arms": [arm_line(arm) for arm in rollout.arms]}
            for rollout in state.rollouts.values()
        ],
        "versions": [_version_line(version) for version in state.versions.values()],
        "histories": {label: [release_line(row) for row in rows] for label, rows in past.histories.items()},
        "past_versions": [_version_line(version) for version in past.versions.values()],
    }


def _agent_of_line(line: Mapping[str, Any], parsed: _Parsed) -> tuple[AgentState, AgentPast]:
    labels = [Label(*label) for label in line["labels"]]
    rollouts = [_rollout_of_line(row) for row in line["rollouts"]]
    histories = {label: tuple(release_of_line(row) for row in rows) for label, rows in dict(line["histories"]).items()}
    state = AgentState(
        # A file of an earlier release knows no choice for what no version has a say in.
        agent_of({"unapplied": "refuse", **line["agent"]}),
        {label.name: label for label in labels},
        {rollout.label: rollout for rollout in rollouts},
        _versions_of(line["versions"], parsed),
    )
    return state, AgentPast(histories, _versions_of(line["past_versions"], parsed))


def _rollout_of_line(line: Mapping[str, Any]) -> Rollout:
    arms: tuple[Arm, ...] = tuple(arm_of(row) for row in line["arms"])
    # A file of an earlier release knows no plans.
    return rollout_of({"plan": None, **line}, arms)


def _version_line(version: Version) -> dict[str, Any]:
    # Contents in their author's order, which models follow in schemas.
    return {**version_columns(version), "contents": version.contents()}


def _versions_of(lines: list[Mapping[str, Any]], parsed: _Parsed) -> dict[int, Version]:
    versions = [version_of(line, _bundle_of_line(line, parsed)) for line in lines]
    return {version.number: version for version in versions}


def _bundle_of_line(line: Mapping[str, Any], parsed: _Parsed) -> Bundle:
    components: dict[ComponentKind, Component] = {}
    for kind in COMPONENT_KINDS:
        component = parsed.get(line[kind])
        if component is None:
            component = parsed[line[kind]] = parse_component(kind, line["contents"][kind])
        components[kind] = component
    return bundle_of(components)


def _unusable(problem: str) -> Unavailable:
    return Unavailable("known_good_unusable", f"{FILE_NAME} {problem}")
