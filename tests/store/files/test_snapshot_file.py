"""The last known good file: a whole state comes back as it was, a broken file never passes for one."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.core.errors import Unavailable
from proxy.core.proof.known_good import AgentPast, KnownGood
from proxy.core.scopes import Scope
from proxy.core.snapshot import Agent, AgentState, Label, Rollout, Snapshot
from proxy.core.switches import Switch
from proxy.core.tokens import Token
from proxy.store.files.snapshot_file import SnapshotFile
from tests.store.given import NOON, cap, release, version
from tests.two_arms import split


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "last-known-good.json"


def everything() -> KnownGood:
    """A state with something in every member."""
    schema = {"type": "object", "properties": {"zeta": {"type": "string"}, "alpha": {"type": "integer"}}}
    tools = {"mode": "merge", "items": [{"name": "look_up", "parameters": schema}]}
    model = {"provider": "openai", "name": "m", "parameters": {"temperature": {"default": 0.5}, "extra": {"x": [1]}}}
    versions = {number: version("a", number, f"text {number} ü\r\n", tools=tools, model=model) for number in (2, 3)}
    rollout = Rollout(
        id="r1", agent="a", label="prod", salt="a/r1", arms=split(2, 3, 10_000), state="running", step=4,
        eligible={"tier": "pro"}, created_by="ann", why="try", created_at_microseconds=NOON,
    )  # fmt: skip
    agent = Agent(name="a", description="Ä", allow_latest=True, newest=3, created_at_microseconds=NOON)
    state = AgentState(agent, {"prod": Label("prod", 2, 2), "dev": Label("dev", 3, 3)}, {"prod": rollout}, versions)
    past = AgentPast(
        {"prod": (release("a", 1, 1), release("a", 2, 2, evidence=({"kind": "x"},)))}, {1: version("a", 1)}
    )
    switch = Switch(
        id="sw_1", scope=Scope(agent="a", tag=("k", "v")), mode="fallback", why="w", created_by="ann",
        created_at_microseconds=NOON, expires_at_microseconds=NOON + 5, fallback_version=1, cut_streams=True,
    )  # fmt: skip
    token = Token(id="tok_1", name="ci", role="author", sha256="ab" * 32, created_by="admin", created_at_microseconds=1)
    snapshot = Snapshot(
        revision=17, agents={"a": state, "b": AgentState(Agent(name="b"))}, switches=(switch,), caps=(cap("c1"),),
        tokens={token.sha256: token},
    )  # fmt: skip
    return KnownGood(installation="here", snapshot=snapshot, pasts={"a": past, "b": AgentPast()})


def test_a_whole_state_comes_back_as_it_was(path: Path) -> None:
    known = everything()
    SnapshotFile(path).write(known)
    assert SnapshotFile(path).read() == known
    assert path.stat().st_mode & 0o777 == 0o600
    assert orjson.loads(path.read_bytes())["content"]["revision"] == 17


def test_every_member_of_a_snapshot_is_in_the_sample() -> None:
    """So that a member added later is not forgotten in the file."""
    snapshot = everything().snapshot
    state = snapshot.agents["a"]
    assert all(getattr(value, member.name) for value in (snapshot, state) for member in fields(value))


def again(path: Path, content: dict[str, Any]) -> KnownGood | None:
    """What is read of a file with this content."""
    written = orjson.dumps(content)
    digest = hashlib.sha256(written).hexdigest().encode()
    path.write_bytes(b'{"format":1,"sha256":"%s","content":%s}\n' % (digest, written))
    return SnapshotFile(path).read()


#: What the first release wrote of each value. What a later one adds is put in when a file that lacks it is read.
_FIRST = {
    "agent": "name description default_label allow_latest archived newest created_at_microseconds",
    "rollouts": "agent id label salt state step eligible created_by why created_at_microseconds ended_at_microseconds arms",
    "versions": "agent number parent bundle_hash prompt model tools retrieval policy author message tested_against source "
    "created_at_microseconds contents",
    "histories": "agent number kind label arm_count salt rollout who approved_by why evidence undoes created_at_microseconds arms",
    "switches": "id scope mode reply_text fallback_version cut_streams why created_by created_at_microseconds "
    "expires_at_microseconds",
    "caps": "id scope window unit limit_amount at_limit why created_by created_at_microseconds",
    "tokens": "id name role sha256 created_by created_at_microseconds revoked_by revoked_at_microseconds",
}


def as_first(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    names = _FIRST[kind].split()
    return {name: row[name] for name in names}


def test_the_file_of_the_first_release_is_read(path: Path) -> None:
    known = everything()
    SnapshotFile(path).write(known)
    content = orjson.loads(path.read_bytes())["content"]
    for kind in ("switches", "caps", "tokens"):
        content[kind] = [as_first(kind, row) for row in content[kind]]
    for line in content["agents"]:
        line["agent"] = as_first("agent", line["agent"])
        line["rollouts"] = [as_first("rollouts", row) for row in line["rollouts"]]
        for kind in ("versions", "past_versions"):
            line[kind] = [as_first("versions", row) for row in line[kind]]
        histories = line["histories"].items()
        line["histories"] = {label: [as_first("histories", row) for row in rows] for label, rows in histories}
    assert again(path, content) == known


def test_a_file_that_calls_the_window_as_the_column_is_called_is_read(path: Path) -> None:
    known = everything()
    SnapshotFile(path).write(known)
    content = orjson.loads(path.read_bytes())["content"]
    content["caps"] = [{**row, "window_kind": row.pop("window")} for row in content["caps"]]
    assert again(path, content) == known


def test_the_order_an_author_gave_a_schema_is_kept(path: Path) -> None:
    SnapshotFile(path).write(everything())
    read = SnapshotFile(path).read()
    assert read is not None
    (tool,) = read.snapshot.agents["a"].versions[2].bundle.tools.items
    assert list(tool["parameters"]["properties"]) == ["zeta", "alpha"]


def test_a_later_state_takes_the_place_of_the_first_and_unchanged_agents_are_not_lost(path: Path) -> None:
    file, known = SnapshotFile(path), everything()
    file.write(known)
    changed = replace(known.snapshot.agents["b"], agent=Agent(name="b", description="new"))
    later = replace(
        known, snapshot=replace(known.snapshot, revision=18, agents={**known.snapshot.agents, "b": changed})
    )
    file.write(later)
    assert SnapshotFile(path).read() == later


def test_where_there_is_no_file_there_is_no_state(path: Path) -> None:
    assert SnapshotFile(path).read() is None


def test_agents_share_the_components_they_have_in_common(path: Path) -> None:
    """So that a thousand agents with the same tools hold them once."""
    tools = {"mode": "merge", "items": [{"name": "look_up"}]}
    states = {
        name: AgentState(Agent(name=name, newest=1), versions={1: version(name, 1, name, tools=tools)})
        for name in ("a", "b")
    }
    SnapshotFile(path).write(KnownGood(installation="here", snapshot=Snapshot(revision=1, agents=states)))
    read = SnapshotFile(path).read()
    assert read is not None
    first, second = (read.snapshot.agents[name].versions[1].bundle for name in ("a", "b"))
    assert first.tools is second.tools
    assert first.model is second.model
    assert first.prompt != second.prompt


def test_a_sound_file_with_other_members_is_refused(path: Path) -> None:
    content = b'{"installation":"here","revision":1}'
    path.write_bytes(
        b'{"format":1,"sha256":"%b","content":%b}\n' % (hashlib.sha256(content).hexdigest().encode(), content)
    )
    with pytest.raises(Unavailable, match="kept other things"):
        SnapshotFile(path).read()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-1],
        lambda raw: b"",
        lambda raw: raw.replace(b'"revision":17', b'"revision":16'),
        lambda raw: raw.replace(b'{"format":1', b'{"format":2'),
        lambda raw: b"[" * 100_000,
    ],
)
def test_a_file_that_is_torn_changed_or_of_another_format_is_refused(path: Path, spoil) -> None:
    SnapshotFile(path).write(everything())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(Unavailable) as refused:
        SnapshotFile(path).read()
    assert refused.value.code == "known_good_unusable"


def test_a_write_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    file, known = SnapshotFile(path), everything()
    file.write(known)
    path.with_name(path.name + ".new").mkdir()
    with pytest.raises(Unavailable):
        file.write(replace(known, installation="elsewhere"))
    assert SnapshotFile(path).read() == known
