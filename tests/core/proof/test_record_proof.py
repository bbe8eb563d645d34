from typing import Any

import pytest

from proxy.core.proof.audit import NO_PREVIOUS, AuditDraft, seal
from proxy.core.proof.audit_proof import AuditHead, BrokenEntry
from proxy.core.proof.record_proof import begin_proof, component_holds, end_of_entries, follow, release_in, version_in
from proxy.core.versions.components import component_hash

RELEASE: dict[str, Any] = {"agent": "a", "release": 3, "kind": "promoted", "arms": []}


def entry(what: str, after: Any) -> dict[str, Any]:
    draft = AuditDraft(who="ann", what=what, subject="-", why="", at_microseconds=1, after=after)
    return seal(draft, 1, NO_PREVIOUS).content()


@pytest.mark.parametrize(
    ("what", "after", "release"),
    [
        ("label.moved", RELEASE, RELEASE),
        ("rollout.promoted", {"id": "r1", "arms": [], "state": "promoted", "release": RELEASE}, RELEASE),
        ("label.deleted", None, None),
        ("agent.updated", {"agent": "a"}, None),
        ("proposal.created", {"id": "p1", "release": 3}, None),
    ],
)
def test_an_entry_says_which_release_row_there_must_be(what: str, after: Any, release: Any) -> None:
    assert release_in(entry(what, after)) == release


def test_only_a_creation_says_which_version_there_must_be() -> None:
    summary = {"agent": "a", "version": 1}
    assert version_in(entry("version.created", summary)) == summary
    assert version_in(entry("agent.created", summary)) is None


def test_the_chain_is_followed_one_entry_at_a_time() -> None:
    first = entry("agent.created", {})
    head = follow(begin_proof(), first)
    assert head == AuditHead(1, first["hash"])
    with pytest.raises(BrokenEntry):
        follow(begin_proof(), {**first, "who": "eve"})
    with pytest.raises(BrokenEntry, match="rewritten"):
        follow(begin_proof(AuditHead(1, "f" * 64)), first)


def test_a_log_must_reach_the_head_that_was_kept() -> None:
    assert end_of_entries(begin_proof()).entries_are_done
    cut = end_of_entries(begin_proof(AuditHead(4, "f" * 64)))
    assert cut.is_finished
    assert cut.document()["first_broken"] == {
        "table": "audit",
        "key": {"number": 1},
        "reason": "the log ends before it, but entry 4 was known: it was cut at the end",
        "entry": 1,
    }


def test_a_proof_that_is_not_finished_is_not_ok() -> None:
    assert begin_proof().document()["ok"] is False


def test_a_component_is_stored_under_its_kind_and_content() -> None:
    content = {"text": "hi"}
    stored_under = component_hash("prompt", content)
    assert component_holds(stored_under, "prompt", content)
    assert not component_holds(stored_under, "policy", content)
    assert not component_holds(stored_under, "prompt", {"text": "ho"})
