"""What a protected label demands, and what a proposal's state allows."""

from contextlib import suppress
from typing import Any

import pytest

from proxy.core.errors import Conflict, Forbidden, Refusal
from proxy.core.releasing.proposals import (
    Proposal,
    check_may_reject,
    check_second_person,
    check_waiting,
    proposal_document,
)
from proxy.core.releasing.protection import Protection, check_goes_back, has_evaluation
from proxy.core.releasing.releases import Release, whole
from proxy.core.tokens import ROLES, AdminCaller, Role

STRICT = Protection(agent="a", label="prod", who_may_move="admin", evaluation_required=True, approval_required=True)
PROVEN = [{"kind": "evaluation", "id": "tickets-20"}]


def proposal(**members: Any) -> Proposal:
    values: dict[str, Any] = {"action": "move", "label": "prod", "before": 1, "version": 2, "if_release": 3}
    who: dict[str, Any] = {"proposed_by": "ann", "why": "better", "created_at_microseconds": 0}
    return Proposal(agent="a", id="p1", **{**values, **who, **members})


def code_of(refused: pytest.ExceptionInfo[Refusal]) -> str:
    return refused.value.code


def movers(protection: Protection) -> list[Role]:
    allowed: list[Role] = []
    for role in ROLES:
        with suppress(Forbidden):
            protection.check_mover(role)
            allowed.append(role)
    return allowed


def test_operators_and_admins_move_a_protected_label_or_admins_alone_but_never_authors() -> None:
    assert movers(Protection(agent="a", label="prod")) == ["operator", "admin"]
    assert movers(STRICT) == ["admin"]


@pytest.mark.parametrize(
    "evidence",
    [[], [{"kind": "incident", "id": "7"}], [{"kind": "evaluation"}], [{"kind": "evaluation", "id": " "}]],
)
def test_evidence_without_a_named_evaluation_is_not_enough(evidence: list[dict[str, Any]]) -> None:
    assert not has_evaluation(evidence)
    with pytest.raises(Conflict) as refused:
        STRICT.check_evidence(evidence)
    assert code_of(refused) == "evaluation_required"


def test_evidence_with_an_evaluation_is_enough_and_without_the_rule_nothing_is_needed() -> None:
    STRICT.check_evidence([{"kind": "incident", "id": "7"}, *PROVEN])
    Protection(agent="a", label="prod").check_evidence([])


def test_a_protected_label_goes_back_only_to_what_it_pointed_to() -> None:
    history = [
        Release(
            agent="a", number=number, kind="label_moved", label="prod", arms=whole(version), salt=None, rollout=None,
            who="ann", approved_by=None, why="", created_at_microseconds=0,
        )
        for number, version in enumerate((1, 3), start=1)
    ]  # fmt: skip
    check_goes_back(STRICT, history, 1)
    check_goes_back(None, history, 2)
    with pytest.raises(Conflict) as refused:
        check_goes_back(STRICT, history, 2)
    assert code_of(refused) == "never_served"


def test_only_a_waiting_proposal_can_be_decided_and_the_refusal_tells_what_happened() -> None:
    check_waiting(proposal())
    decided = proposal().decided("rejected", "bob", "no", 9)
    with pytest.raises(Conflict) as refused:
        check_waiting(decided)
    assert code_of(refused) == "proposal_decided"
    assert "rejected by bob" in refused.value.message
    with pytest.raises(Conflict) as refused:
        check_waiting(proposal().decided("stale", "cid", "release 7: rolled_back", 9))
    assert code_of(refused) == "proposal_stale"
    assert "release 7: rolled_back, by cid" in refused.value.message


def test_nobody_approves_what_they_proposed() -> None:
    check_second_person(proposal(), "bob")
    with pytest.raises(Conflict) as refused:
        check_second_person(proposal(), "ann")
    assert code_of(refused) == "second_person_required"


def test_an_author_takes_back_only_what_is_theirs() -> None:
    check_may_reject(proposal(), AdminCaller("ann", "author"))
    check_may_reject(proposal(), AdminCaller("bob", "operator"))
    with pytest.raises(Forbidden):
        check_may_reject(proposal(), AdminCaller("bob", "author"))


def test_the_same_is_asked_when_the_same_person_wants_the_same_of_the_same_release() -> None:
    assert proposal().asks_the_same(proposal(why="again"))
    for other in (
        {"version": 3},
        {"if_release": 4},
        {"proposed_by": "bob"},
        {"action": "promote"},
        {"label": "canary"},
    ):
        assert not proposal().asks_the_same(proposal(**other))


def test_a_proposals_document_shows_what_its_action_needs() -> None:
    document = proposal_document(proposal(action="start_rollout", order={"percentage": 5, "eligible": {}}))
    assert (document["percentage"], document["eligible"], document["state"]) == (5, {}, "waiting")
    assert document["decided_at"] is None
