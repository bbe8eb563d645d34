"""The audit chain's published rule, recomputed here from its text alone."""

import hashlib
import json
from dataclasses import replace

import pytest

from proxy.core.errors import BadInput
from proxy.core.proof.audit import NO_PREVIOUS, AuditDraft, seal

DRAFT = AuditDraft(
    who="ada",
    what="label.moved",
    subject="support",
    why="better answers",
    at_microseconds=1_700_000_000_000_000,
    before={"version": 1},
    after={"version": 2, "arms": [{"name": "stable"}]},
    evidence=({"evaluation": "e1", "score": 0.95},),
)


def hash_by_the_published_rule(line: dict) -> str:
    members = {name: value for name, value in line.items() if name != "hash"}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "draft", [DRAFT, replace(DRAFT, before=None, after=None, evidence=(), why="größer \u2028 \U0001f600")]
)
def test_an_exported_line_verifies_with_nothing_but_the_rule(draft):
    line = json.loads(json.dumps(seal(draft, 1, NO_PREVIOUS).content()))
    assert line["hash"] == hash_by_the_published_rule(line)
    assert (line["format"], line["number"], line["previous"]) == (1, 1, "0" * 64)


@pytest.mark.parametrize(
    "changed",
    [
        {"who": "eve"},
        {"what": "label.deleted"},
        {"subject": "other"},
        {"why": ""},
        {"at_microseconds": 0},
        {"before": None},
        {"after": {"version": 3}},
        {"evidence": ()},
    ],
)
def test_any_member_changed_is_another_hash(changed):
    assert seal(replace(DRAFT, **changed), 1, NO_PREVIOUS).hash != seal(DRAFT, 1, NO_PREVIOUS).hash


def test_place_in_the_chain_is_part_of_the_hash():
    first = seal(DRAFT, 1, NO_PREVIOUS)
    hashes = {first.hash, seal(DRAFT, 2, NO_PREVIOUS).hash, seal(DRAFT, 2, first.hash).hash}
    assert len(hashes) == 3


def test_the_order_of_an_objects_members_is_not_part_of_the_hash():
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert (
        seal(replace(DRAFT, after=one), 1, NO_PREVIOUS).hash == seal(replace(DRAFT, after=other), 1, NO_PREVIOUS).hash
    )


@pytest.mark.parametrize("value", ["\ud800", 2**70, object()])
def test_what_json_cannot_carry_exactly_is_refused(value):
    with pytest.raises(BadInput) as refused:
        seal(replace(DRAFT, after={"value": value}), 1, NO_PREVIOUS)
    assert refused.value.code == "unrepresentable"
