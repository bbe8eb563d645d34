"""The last known good state as one JSON file: `last-known-good.json`, whole or not at all.

Format 1: `{"format":1,"sha256":"...","content":{...}}` on one line; the checksum is over the bytes of `content` as they stand in
the file. Inside are the rows a store would hold (rows.py), with agents one by one. Written beside and renamed, so that a crash
leaves the old file or the new one. Counterpart: runtime/last_known_good.py, which says when.

Decision: each agent's bytes are kept and written again as they are while its state is the same object, so that a change costs
the encoding of one agent, not of a thousand.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from proxy.core.components import COMPONENT_KINDS, parse_bundle
from proxy.core.errors import Refusal, Unavailable
from proxy.core.known_good import AgentPast, KnownGood
from proxy.core.snapshot import AgentState, Arm, Label, Rollout, Snapshot
from proxy.core.versions import Version
from proxy.store.access_rows import token_columns, token_of
from proxy.store.release_lines import arm_line, release_line, release_of_line
from proxy.store.rows import (
    agent_columns,
    agent_of,
    arm_of,
    cap_columns,
    cap_of,
    rollout_columns,
    rollout_of,
    switch_columns,
    switch_of,
    version_columns,
    version_of,
)

FILE_NAME = "last-known-good.json"
_FORMAT = 1
_NO_PAST = AgentPast()
_WHOLE = re.compile(rb'\{"format":(\d+),"sha256":"([0-9a-f]{64})","content":(.*)\}\n\Z', re.DOTALL)


class SnapshotFile:
    """The file. Its methods block; they are called on a thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoded: dict[str, tuple[AgentState, AgentPast, bytes]] = {}

    def read(self) -> KnownGood | None:
        """What is kept, None where there is no file. Raises Unavailable(`known_good_unusable`)."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(f"cannot be read: {error.strerror}") from error
        match = _WHOLE.match(raw)
        if match is None or hashlib.sha256(match[3]).hexdigest().encode() != match[2]:
            raise _unusable("is damaged: its checksum does not fit")
        if int(match[1]) != _FORMAT:
            raise _unusable(f"has format {int(match[1])}; this release knows {_FORMAT}")
        try:
            return _known_good_of(orjson.loads(match[3]))
        except (LookupError, TypeError, ValueError, Refusal) as error:
            raise _unusable("was written by a release that kept other things") from error

    def write(self, known: KnownGood) -> None:
        """Put `known` in the place of what is kept. Raises Unavailable(`known_good_unusable`)."""
        content = self._encode(known)
        checksum = hashlib.sha256(content).hexdigest()
        head = b'{"format":%d,"sha256":"%s","content":' % (_FORMAT, checksum.encode())
        beside = self._path.with_name(self._path.name + ".new")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(head + content + b"}\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise _unusable(f"cannot be written: {error.strerror}") from error

    def _encode(self, known: KnownGood) -> bytes:
        snapshot, encoded = known.snapshot, dict[str, tuple[AgentState, AgentPast, bytes]]()
        for name, state in snapshot.agents.items():
            past = known.pasts.get(name, _NO_PAST)
            kept = self._encoded.get(name)
            is_same = kept is not None and kept[0] is state and kept[1] is past
            encoded[name] = kept if kept and is_same else (state, past, orjson.dumps(_agent_line(state, past)))
        self._encoded = encoded
        content: dict[str, Any] = {
            "installation": known.installation,
            "revision": snapshot.revision,
            "agents": [orjson.Fragment(one[2]) for one in encoded.values()],
            "switches": [switch_columns(switch) for switch in snapshot.switches],
            "caps": [cap_columns(cap) for cap in snapshot.caps],
            "tokens": [token_columns(token) for token in snapshot.tokens.values()],
        }
        return orjson.dumps(content)


def _known_good_of(content: Mapping[str, Any]) -> KnownGood:
    agents = [_agent_of_line(line) for line in content["agents"]]
    tokens = [token_of(row) for row in content["tokens"]]
    snapshot = Snapshot(
        revision=content["revision"],
        agents={state.agent.name: state for state, _ in agents},
        switches=tuple(switch_of(row) for row in content["switches"]),
        caps=tuple(cap_of(row) for row in content["caps"]),
        tokens={token.sha256: token for token in tokens},
    )
    pasts = {state.agent.name: past for state, past in agents}
    return KnownGood(installation=content["installation"], snapshot=snapshot, pasts=pasts)


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


def _agent_of_line(line: Mapping[str, Any]) -> tuple[AgentState, AgentPast]:
    labels = [Label(*label) for label in line["labels"]]
    rollouts = [_rollout_of_line(row) for row in line["rollouts"]]
    histories = {label: tuple(release_of_line(row) for row in rows) for label, rows in dict(line["histories"]).items()}
    state = AgentState(
        agent_of(line["agent"]),
        {label.name: label for label in labels},
        {rollout.label: rollout for rollout in rollouts},
        _versions_of(line["versions"]),
    )
    return state, AgentPast(histories, _versions_of(line["past_versions"]))


def _rollout_of_line(line: Mapping[str, Any]) -> Rollout:
    arms: tuple[Arm, ...] = tuple(arm_of(row) for row in line["arms"])
    return rollout_of(line, arms)


def _version_line(version: Version) -> dict[str, Any]:
    # Contents in their author's order, which models follow in schemas.
    return {**version_columns(version), "contents": version.contents()}


def _versions_of(lines: list[Mapping[str, Any]]) -> dict[int, Version]:
    bundles = [parse_bundle({kind: line["contents"][kind] for kind in COMPONENT_KINDS}) for line in lines]
    versions = [version_of(line, bundle) for line, bundle in zip(lines, bundles, strict=True)]
    return {version.number: version for version in versions}


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable: new, renamed and removed files. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(problem: str) -> Unavailable:
    return Unavailable("known_good_unusable", f"{FILE_NAME} {problem}")
