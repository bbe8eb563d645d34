"""`switchback proposals` and `protection`, and what other verbs say when a change has to wait."""

import asyncio
import json

import pytest

from proxy.cli.admin_client import AdminClient
from proxy.cli.sync import sync

PROPOSAL = {
    "id": "p1",
    "agent": "a",
    "state": "waiting",
    "action": "move",
    "label": "prod",
    "before": 1,
    "version": 2,
    "proposed_by": "ann",
    "why": "shorter",
    "created_at": "2026-11-20T14:03:00.1Z",
    "decided_by": None,
}
DIFF = {
    "metadata": [],
    "behavior": [{"path": "prompt.text", "kind": "changed", "before": "Be kind", "after": "Be brief"}],
    "capabilities": [],
    "guardrails": [],
    "prompt": [
        {"op": "equal", "text": "Be "},
        {"op": "delete", "text": "kind\x1b[2J"},
        {"op": "insert", "text": "brief"},
    ],
}
WHOLE = {**PROPOSAL, "id": "p4", "action": "start_rollout", "percentage": 5.0}
ROLLOUT = {**PROPOSAL, "id": "p2", "action": "start_rollout", "percentage": 12.5, "eligible": {}}
PROMOTION = {**PROPOSAL, "id": "p3", "action": "promote", "rollout": "r4"}
RULES = {"label": "prod", "who_may_move": "operator", "evaluation_required": False, "approval_required": True}


async def test_proposals_are_listed_with_what_each_would_do(switchback, admin):
    admin.answer("GET", "/agents/a/proposals", {"items": [WHOLE, PROMOTION, ROLLOUT, PROPOSAL], "next": None})
    result = await switchback("proposals", "list", "a", "--state", "waiting")
    for words in (
        "promote r4: prod to version 2",
        "12.5% of prod to version 2",
        " 5% of",
        "p1",
        "ann",
        "2026-11-20 14:03:00Z",
    ):
        assert words in result.stdout
    assert admin.last.query == {"limit": "50", "state": "waiting"}


async def test_an_empty_list_says_so(switchback, admin):
    admin.answer("GET", "/agents/a/proposals", {"items": [], "next": None})
    assert (await switchback("proposals", "list", "a")).stdout == "a has no proposals\n"
    waiting = await switchback("proposals", "list", "a", "--state", "waiting")
    assert waiting.stdout == "a has no proposals that are waiting\n"


async def test_a_proposal_is_shown_with_its_difference_and_obeys_nobodys_escapes(switchback, admin):
    admin.answer("GET", "/agents/a/proposals/p1", {**PROPOSAL, "diff": DIFF})
    result = await switchback("proposals", "show", "a", "p1")
    assert "shorter" in result.stdout
    assert "Be [-kind␛[2J-]{+brief+}" in result.stdout
    assert "\x1b" not in result.stdout
    as_json = await switchback("proposals", "show", "a", "p1", "--json")
    assert json.loads(as_json.stdout) == {**PROPOSAL, "diff": DIFF}


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("approve", "a: done as ann proposed: prod to version 2\n"),
        ("reject", "a: proposal p1 is rejected; nothing changed\n"),
    ],
)
async def test_a_proposal_is_decided_with_a_reason(switchback, admin, verb, told):
    admin.answer("POST", f"/agents/a/proposals/p1/{verb}", PROPOSAL)
    result = await switchback("proposals", verb, "a", "p1", "--why", "read it")
    assert (result.exit_code, result.stdout) == (0, told)
    assert admin.last.body == {"why": "read it"}


async def test_a_move_is_proposed_with_its_evidence(switchback, admin):
    admin.answer("POST", "/agents/a/proposals", {**PROPOSAL, "diff": DIFF}, 201)
    line = "proposals create a prod 2 --evaluation e1 --if-release 3 --why shorter"
    result = await switchback(*line.split())
    assert result.stdout.splitlines() == [
        "a: proposal p1 waits: prod to version 2",
        "somebody else can say: switchback proposals approve a p1",
    ]
    evidence = [{"kind": "evaluation", "id": "e1"}]
    assert admin.last.body == {"label": "prod", "version": 2, "if_release": 3, "evidence": evidence, "why": "shorter"}
    assert json.loads((await switchback(*line.split(), "--json")).stdout)["diff"] == DIFF


async def test_approving_ones_own_is_a_conflict(switchback, admin):
    path = "/agents/a/proposals/p1/approve"
    admin.refuse("POST", path, 409, "second_person_required", "ann proposed this; somebody else has to approve it")
    result = await switchback("proposals", "approve", "a", "p1")
    assert result.exit_code == 4
    assert "somebody else has to approve it" in result.stderr


@pytest.mark.parametrize(
    ("line", "method", "path"),
    [
        ("label a prod 2", "PUT", "/agents/a/labels/prod"),
        ("rollout start a --candidate 2 --percentage 10", "POST", "/agents/a/rollouts"),
        ("rollout promote a r4", "POST", "/agents/a/rollouts/r4/promote"),
    ],
)
async def test_a_change_that_waits_is_told_as_one_that_has_not_happened(switchback, admin, line, method, path):
    admin.answer(method, path, {**PROPOSAL, "diff": DIFF}, 202)
    result = await switchback(*line.split())
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "nothing changed yet: prod is protected, so this waits as proposal p1",
        "somebody else can say: switchback proposals approve a p1",
    ]


@pytest.mark.parametrize(
    ("line", "method", "path"),
    [
        ("label a prod 2 --evaluation e1 --evaluation e2", "PUT", "/agents/a/labels/prod"),
        ("rollout start a --candidate 2 --percentage 10 --evaluation e1 --evaluation e2", "POST", "/agents/a/rollouts"),
        ("rollout promote a r4 --evaluation e1 --evaluation e2", "POST", "/agents/a/rollouts/r4/promote"),
    ],
)
async def test_evaluations_are_sent_as_evidence(switchback, admin, line, method, path):
    admin.answer(method, path, {**PROPOSAL, "diff": DIFF}, 202)
    await switchback(*line.split())
    assert admin.last.body["evidence"] == [{"kind": "evaluation", "id": "e1"}, {"kind": "evaluation", "id": "e2"}]


async def test_a_label_is_not_deleted_with_an_evaluation(switchback, admin):
    result = await switchback("label", "a", "old", "--delete", "--evaluation", "e1")
    assert (result.exit_code, admin.asked) == (2, [])


async def test_a_label_is_protected_and_freed(switchback, admin):
    admin.answer("PUT", "/agents/a/labels/prod/protection", RULES)
    admin.answer("DELETE", "/agents/a/labels/prod/protection", {"label": "prod", "removed": True})
    result = await switchback("protection", "set", "a", "prod", "--approval", "--evaluation", "--why", "live")
    assert result.stdout == "a: prod is protected: moved by operator, with an evaluation and a second person\n"
    assert admin.last.body == {
        "who_may_move": "operator",
        "evaluation_required": True,
        "approval_required": True,
        "why": "live",
    }
    result = await switchback("protection", "end", "a", "prod", "--why", "over")
    assert result.stdout == "a: prod is not protected any more\n"
    assert admin.last.query == {"why": "over"}


async def test_protected_labels_are_listed(switchback, admin):
    admin.answer("GET", "/agents/a/protections", {"items": [RULES], "next": None})
    assert (await switchback("protection", "list", "a")).stdout.split()[-4:] == ["prod", "operator", "no", "yes"]
    admin.answers.clear()
    admin.answer("GET", "/agents/a/protections", {"items": [], "next": None})
    assert (await switchback("protection", "list", "a")).stdout == "no label of a is protected\n"


async def test_a_sync_that_moves_a_protected_label_proposes_and_says_so(deployment, tmp_path):
    folder = tmp_path / "support"
    folder.mkdir()
    (folder / "agent.yaml").write_text("agent: support\nprompt: {text: You help.}\n")
    await deployment.operator.agent("support")
    await deployment.operator.request("PUT", "/agents/support/labels/prod/protection", {"approval_required": True})
    token = deployment.server.admin_token_path.read_text().strip()
    client = AdminClient(deployment.server.admin_url, token)
    dry = await asyncio.to_thread(sync, client, tmp_path, label="prod", dry_run=True)
    assert dry.document()["agents"][0]["label"] == "proposed"
    assert "prod is protected: the move would wait for somebody else" in dry.lines()[0]
    report = await asyncio.to_thread(sync, client, tmp_path, label="prod")
    assert report.exit_code == 0
    assert report.document()["agents"][0]["label"] == "proposed"
    assert "prod is protected: proposal p1 waits for somebody else" in report.lines()[0]
    assert (await deployment.operator.get("/agents/support/labels"))["items"] == []
