"""Whatever people order in whatever sequence: no version gets more of a protected label's traffic but as its rules allow."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import Refusal
from proxy.core.releasing.arms import RolloutDraft, candidate_arm
from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.protection import Mover, Protection, has_evaluation
from proxy.core.releasing.releases import CANDIDATE, Release
from proxy.core.snapshot import Agent
from proxy.core.tokens import AdminCaller
from proxy.runtime.releasing.release_commands import VersionDraft
from tests.edges.admin.composition import Commands, commands

PEOPLE = (
    AdminCaller("ann", "operator"),
    AdminCaller("bob", "operator"),
    AdminCaller("cid", "author"),
    AdminCaller("dan", "admin"),
)
PROVEN = ({"kind": "evaluation", "id": "e1"},)
VERSIONS = 4
STEPS = 150
#: How a version comes to more of a label's traffic.
FORWARD = ("label_moved", "rollout_started", "promoted")


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Commands]:
    async with commands(tmp_path) as made:
        await made.releases.create_agent("dan", Agent(name="a"), "")
        for number in range(VERSIONS):
            draft = VersionDraft(components={"prompt": {"text": str(number)}}, parent=number or None, message="")
            await made.releases.create_version("dan", "a", draft)
        await made.releases.move_label("dan", "a", "prod", 1, "")
        yield made


class People:
    """Give orders at random, and know which rules hold."""

    def __init__(self, control: Commands, seed: int) -> None:
        self.control = control
        self.random = random.Random(seed)
        self.rules: Protection | None = None
        #: The rules under which each release was made, by its number.
        self.rules_at: dict[int, Protection | None] = {1: None}
        self.roles: dict[str, str] = {person.name: person.role for person in PEOPLE}

    async def act(self) -> None:
        """One order; what is refused changes nothing."""
        somebody = self.random.choice(PEOPLE)
        orders = (self.move, self.start, self.grow, self.promote, self.decide, self.back, self.rule)
        order = self.random.choices(orders, weights=(6, 5, 5, 3, 8, 1, 2))[0]
        before = self.control.live.current
        try:
            await order(somebody)
        except Refusal:
            assert self.control.live.current is before
        for row in (await self.control.store.releases("a")).items:
            self.rules_at.setdefault(row.number, self.rules)

    def version(self) -> int:
        return self.random.randint(1, VERSIONS)

    def evidence(self) -> Any:
        return self.random.choice(((), PROVEN))

    async def move(self, who: AdminCaller) -> None:
        await self.control.releases.move_label(
            who.name, "a", "prod", self.version(), "", role=who.role, evidence=self.evidence()
        )

    async def start(self, who: AdminCaller) -> None:
        draft = RolloutDraft(label="prod", arms=candidate_arm(self.version(), 10))
        await self.control.rollouts.start_rollout(who.name, "a", draft, "", role=who.role, evidence=self.evidence())

    async def grow(self, who: AdminCaller) -> None:
        share = self.random.choice((1, 10, 50))
        await self.control.rollouts.set_percentage(who.name, "a", self.running(), share, "", role=who.role)

    async def promote(self, who: AdminCaller) -> None:
        await self.control.rollouts.promote(who.name, "a", self.running(), "", role=who.role, evidence=self.evidence())

    async def decide(self, who: AdminCaller) -> None:
        proposals = (await self.control.store.proposals("a")).items
        waiting = [proposal for proposal in proposals if proposal.state == "waiting"] or proposals
        chosen = self.random.choice(waiting).id if waiting else "p1"
        verb = self.random.choice([self.control.proposals.approve] * 4 + [self.control.proposals.reject])
        if verb == self.control.proposals.approve and who.role == "author":
            return
        await verb(who, "a", chosen, "")

    async def back(self, who: AdminCaller) -> None:
        if who.role != "author":
            await self.control.releases.rollback(
                who.name, "a", "prod", "", to=self.random.choice((None, self.version()))
            )

    async def rule(self, who: AdminCaller) -> None:
        if self.random.random() < 0.2 and self.rules is not None:
            await self.control.proposals.unprotect("dan", "a", "prod", "")
            self.rules = None
        else:
            mover: Mover = self.random.choice(("operator", "operator", "admin"))
            needs = [self.random.random() < probability for probability in (0.4, 0.7)]
            wanted = Protection(
                agent="a", label="prod", who_may_move=mover, evaluation_required=needs[0], approval_required=needs[1]
            )
            self.rules = await self.control.proposals.protect("dan", wanted, "")

    def running(self) -> str:
        state = self.control.live.agent("a")
        assert state is not None
        return state.rollouts["prod"].id if state.rollouts else "r0"


def check_row(row: Release, rules: Protection | None, people: People, ledger: dict[int, Release]) -> None:
    """One row of the ledger against the rules that held when it was written."""
    start = next((one for one in ledger.values() if one.kind == "rollout_started" and one.rollout == row.rollout), row)
    if row.approved_by is not None:
        assert row.approved_by != row.who
    if rules is None or row.kind not in FORWARD:
        return
    evidence = (*row.evidence, *(start.evidence if row.rollout else ()))
    assert not rules.evaluation_required or has_evaluation(evidence)
    assert not rules.approval_required or row.approved_by is not None
    # Whoever ordered it, or approved it, may move the label; a promotion carries the approval of its rollout's start.
    if row.kind != "promoted":
        role = people.roles[row.approved_by or row.who]
        assert role == "admin" or role == rules.who_may_move


@pytest.mark.parametrize("seed", range(12))
async def test_no_version_gets_more_of_a_protected_labels_traffic_but_as_its_rules_allow(
    seed: int, control: Commands
) -> None:
    people = People(control, seed)
    kept: dict[str, Proposal] = {}
    for _ in range(STEPS):
        await people.act()
        for proposal in (await control.store.proposals("a")).items:
            known = kept.setdefault(proposal.id, proposal)
            # Only once, and only the decision.
            assert proposal == known or (
                known.state == "waiting"
                and proposal
                == known.decided(
                    proposal.state,
                    proposal.decided_by or "",
                    proposal.decided_why or "",
                    proposal.decided_at_microseconds or 0,
                )
            )
            kept[proposal.id] = proposal
    rows = [*(await control.store.releases("a", limit=500)).items][::-1]
    ledger = {row.number: row for row in rows}
    for row in rows:
        check_row(row, people.rules_at[row.number], people, ledger)
    served: set[int] = set()
    for row in rows:
        if row.kind == "rolled_back" and people.rules_at[row.number] is not None:
            assert row.version in served
        served.add(row.version)
        if row.kind == "share_changed" and (rules := people.rules_at[row.number]) is not None:
            check_growth(row, ledger, rules)
    assert await control.store.load_snapshot() == control.live.current


def check_growth(row: Release, ledger: dict[int, Release], rules: Protection) -> None:
    """A larger share under rules: its rollout's start had what they ask for."""
    of_it = [one for one in ledger.values() if one.rollout == row.rollout and one.number < row.number]
    before = next(arm for arm in of_it[-1].arms if arm.name == CANDIDATE)
    after = next(arm for arm in row.arms if arm.name == CANDIDATE)
    if after.share_buckets > before.share_buckets:
        assert not rules.approval_required or of_it[0].approved_by is not None
        assert not rules.evaluation_required or has_evaluation(of_it[0].evidence)
