"""Every admin verb: what it asks of the server, what it tells a person, and that --json gives the server's document."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

ROLLOUT = {
    "id": "r1",
    "label": "prod",
    "state": "running",
    "arms": [
        {"name": "stable", "version": 1, "percentage": 90.0},
        {"name": "candidate", "version": 2, "percentage": 10.0},
    ],
}
THREE_ARMS = {
    **ROLLOUT,
    "arms": [
        {"name": "stable", "version": 1, "percentage": 72.5},
        {"name": "b", "version": 2, "percentage": 20.0},
        {"name": "c", "version": 3, "percentage": 7.5},
    ],
}
PROD = {"label": "prod", "version": 1, "release": 3, "rollout": ROLLOUT}
AGENT = {"agent": "a", "newest_version": 2, "labels": [PROD]}
RELEASE = {
    "release": 3,
    "kind": "rollout_started",
    "label": "prod",
    "arms": ROLLOUT["arms"],
    "who": "ann",
    "why": "try",
}
MOVED = {"changed": True, "label": "prod", "version": 2, "release": 4, "reason": ""}
UNCHANGED = {"changed": False, "label": "prod", "version": 2, "release": 4, "reason": "prod serves version 2 already"}
SERVES = [
    {"label": "prod", "rollout": "r1", "arm": "candidate", "percentage": 10.0},
    {"label": "staging", "rollout": None, "arm": None, "percentage": 100.0},
    {"switch": "sw_1", "scope": {"agent": "a"}},
]
SWITCH = {"id": "sw_1", "scope": {"agent": "a"}, "mode": "block", "created_at": "2026-11-20T14:03:00.1Z", "why": "bad"}
CAP = {
    "id": "cap_1",
    "scope": {"agent": "a"},
    "window": "day",
    "unit": "usd",
    "limit": 50.0,
    "spent": 1.5,
    "at_limit": "block",
}
RUN = {
    "id": "run_1",
    "agent": "a",
    "version": 2,
    "status": 200,
    "result": "ok",
    "cost_usd": 0.00012,
    "tokens": {"input": 12, "output": 3},
    "duration_ms": 41.5,
}
ENTRY = {
    "number": 9,
    "who": "ann",
    "what": "label.moved",
    "subject": "agents/a",
    "why": "y",
    "at_microseconds": 1_790_000_000_000_000,
}


PLAN = {
    "name": "cautious",
    "plan": {
        "name": "cautious",
        "steps": [{"percentage": 5}, {"percentage": 50}],
        "at_end": "wait",
        "guards": {"errors": {}},
    },
    "updated_by": "ann",
    "updated_at": "2026-11-20T14:03:00.1Z",
    "why": "after the outage",
}


def _page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next": None}


@dataclass
class VerbCase:
    """One command line, the exchange it makes, and words a person then sees."""

    line: str
    method: str
    path: str
    answer: Any
    told: list[str]
    body: Any = None
    query: Any = None
    status: int = 200


READ = [
    VerbCase("agents list", "GET", "/agents", _page(AGENT), ["a", "2"], query={"limit": "500"}),
    VerbCase("agents show a", "GET", "/agents/a", AGENT, ["r1 running: 90% v1, 10% v2"]),
    VerbCase(
        "agents releases a --label prod", "GET", "/agents/a/releases", _page(RELEASE), ["rollout_started", "10% v2", "ann"],
        query={"limit": "50", "label": "prod"},
    ),
    VerbCase(
        "versions list a", "GET", "/agents/a/versions", _page({"version": 2, "version_id": "f" * 64, "serves": SERVES}),
        ["f" * 12, "prod 10% (r1), staging, fallback of sw_1"],
    ),
    VerbCase("versions show a 2", "GET", "/agents/a/versions/2", {"version": 2, "prompt": {"text": "Hi\nyou"}}, ["Hi\nyou"]),
    VerbCase("rollout list a", "GET", "/agents/a/rollouts", _page(ROLLOUT), ["r1", "90% v1, 10% v2"]),
    VerbCase("rollout show a r1", "GET", "/agents/a/rollouts/r1", ROLLOUT, ["90% v1, 10% v2"]),
    VerbCase("kill --list", "GET", "/switches", _page(SWITCH), ["sw_1", "agent a", "2026-11-20 14:03:00Z"]),
    VerbCase("plans list", "GET", "/plans", _page(PLAN), ["cautious", "5 % → 50 %, then wait; guarded by errors"]),
    VerbCase("plans show cautious", "GET", "/plans/cautious", PLAN, ["plan.at_end", "wait"]),
    VerbCase("caps list", "GET", "/caps", _page(CAP), ["$50.00", "$1.50"]),
    VerbCase(
        "runs list --agent a --version 2 --result error --from 2026-11-20T00:00:00Z", "GET", "/runs", _page(RUN),
        ["run_1", "a@2", "$0.00012"],
        query={"limit": "50", "agent": "a", "version": "2", "result": "error", "from": "2026-11-20T00:00:00Z"},
    ),
    VerbCase("runs show run_1", "GET", "/runs/run_1", RUN, ["tokens.input", "12"]),
    VerbCase("audit list --limit 5", "GET", "/audit", _page(ENTRY), ["label.moved", "2026-09-21 "], query={"limit": "5"}),
    VerbCase("audit head", "GET", "/audit/head", {"number": 9, "hash": "ab"}, ["ab"]),
    VerbCase("status", "GET", "/status", {"revision": 4, "store": {"up": True}}, ["store.up", "yes"]),
]  # fmt: skip

CHANGE = [
    VerbCase(
        "agents create a --description Routes --no-allow-latest", "POST", "/agents", AGENT, ["created a"],
        {"agent": "a", "description": "Routes", "allow_latest": False, "why": "no reason given"}, status=201,
    ),
    VerbCase(
        "agents update a --default-label staging --why tests", "PATCH", "/agents/a", AGENT, ["changed a"],
        {"default_label": "staging", "why": "tests"},
    ),
    VerbCase("agents archive a --why old", "POST", "/agents/a/archive", AGENT, ["archived a"], {"why": "old"}),
    VerbCase("agents unarchive a --why back", "POST", "/agents/a/unarchive", AGENT, ["a is in service again"], {"why": "back"}),
    VerbCase(
        "label a prod 2 --why good --if-release 3", "PUT", "/agents/a/labels/prod", MOVED,
        ["prod serves version 2 now (release 4)"], {"version": 2, "why": "good", "if_release": 3},
    ),
    VerbCase(
        "label a prod 2", "PUT", "/agents/a/labels/prod", UNCHANGED,
        ["nothing changed: prod serves version 2 already"], {"version": 2, "why": "no reason given"},
    ),
    VerbCase(
        "label a old --delete --why tidy", "DELETE", "/agents/a/labels/old", {"label": "old", "removed": True},
        ["removed the label old"], query={"why": "tidy"},
    ),
    VerbCase(
        "rollback a", "POST", "/agents/a/rollback", {**MOVED, "version": 1, "undoes": 3},
        ["undone: release 3", "prod serves version 1 to everyone now (release 4)"], {"why": "no reason given"},
    ),
    VerbCase(
        "rollback a --label prod --undoes 3 --to 1 --why wrong", "POST", "/agents/a/rollback", {**UNCHANGED, "undoes": None},
        ["nothing changed: prod serves version 2 already", "prod serves version 2"],
        {"label": "prod", "undoes": 3, "to": 1, "why": "wrong"},
    ),
    VerbCase(
        "rollout start a --candidate 2 --percentage 12.5 --eligible plan=pro", "POST",
        "/agents/a/rollouts", ROLLOUT, ["rollout r1 runs on prod: 90% v1, 10% v2", "switchback rollback a --label prod"],
        {
            "label": "prod", "candidate": 2, "percentage": 12.5, "why": "no reason given",
            "eligible": {"plan": "pro"},
        }, status=201,
    ),
    VerbCase(
        "rollout set-percentage a r1 --percentage 25", "POST", "/agents/a/rollouts/r1/set-percentage", ROLLOUT, ["r1"],
        {"percentage": 25, "why": "no reason given"},
    ),
    VerbCase(
        "rollout promote a r1", "POST", "/agents/a/rollouts/r1/promote", {**ROLLOUT, "state": "promoted"},
        ["r1 promoted; prod serves version 2, everyone"], {"why": "no reason given"},
    ),
    VerbCase(
        "rollout abort a r1", "POST", "/agents/a/rollouts/r1/abort", {**ROLLOUT, "state": "aborted"},
        ["r1 aborted; prod serves version 1, everyone"], {"why": "no reason given"},
    ),
    VerbCase(
        "kill --agent a --version 2 --tag plan=pro --why bad --cut-streams", "POST", "/switches", SWITCH,
        ["switch sw_1 is on: block for agent a", "switchback restore sw_1"],
        {
            "scope": {"agent": "a", "version": 2, "tag": "plan=pro"}, "mode": "block", "why": "bad", "cut_streams": True,
        }, status=201,
    ),
    VerbCase(
        "kill --agent a --mode reply --reply Soon --expires 2030-01-01T00:00:00Z --why bad", "POST", "/switches", SWITCH,
        ["sw_1"],
        {
            "scope": {"agent": "a"}, "mode": "reply", "reply": "Soon", "expires": "2030-01-01T00:00:00Z", "why": "bad",
            "cut_streams": False,
        }, status=201,
    ),
    VerbCase("restore sw_1 --why over", "DELETE", "/switches/sw_1", SWITCH, ["switch sw_1 is off"], query={"why": "over"}),
    VerbCase(
        "caps set --agent a --user * --limit 50 --why budget", "POST", "/caps", CAP,
        ["cap cap_1: agent a: $50.00 per day, then block"],
        {
            "scope": {"agent": "a", "user": "*"}, "window": "day", "unit": "usd", "limit": 50, "at_limit": "block",
            "why": "budget",
        }, status=201,
    ),
    VerbCase(
        "caps change cap_1 --limit 0.5 --at-limit warn", "PUT", "/caps/cap_1", CAP, ["the limit is $50"],
        {"limit": 0.5, "at_limit": "warn", "why": "no reason given"},
    ),
    VerbCase(
        "plans delete cautious --why old", "DELETE", "/plans/cautious", PLAN, ["plan cautious is gone"], query={"why": "old"}
    ),
    VerbCase(
        "rollout start a --candidate 2 --percentage 5 --pin ann=candidate --pin a=b=stable", "POST", "/agents/a/rollouts",
        ROLLOUT, ["rollout r1 runs on prod"], status=201,
        body={
            "label": "prod", "candidate": 2, "percentage": 5.0, "pinned": {"ann": "candidate", "a=b": "stable"},
            "why": "no reason given",
        },
    ),
    VerbCase(
        "rollout start a --candidate 2 --plan cautious", "POST", "/agents/a/rollouts", ROLLOUT, ["rollout r1 runs on prod"],
        {"label": "prod", "candidate": 2, "plan": "cautious", "why": "no reason given"}, status=201,
    ),
    VerbCase(
        "rollout start a --arm b=2:20 --arm c=3:7.5", "POST", "/agents/a/rollouts", THREE_ARMS,
        ["rollout r1 runs on prod: 72.5% v1, b 20% v2, c 7.5% v3"], status=201,
        body={
            "label": "prod", "why": "no reason given",
            "arms": [{"name": "b", "version": 2, "percentage": 20}, {"name": "c", "version": 3, "percentage": 7.5}],
        },
    ),
    VerbCase(
        "rollout start a --arm b=2 --arm c=3 --plan bake-off", "POST", "/agents/a/rollouts", THREE_ARMS, ["c 7.5% v3"], status=201,
        body={
            "label": "prod", "plan": "bake-off", "why": "no reason given",
            "arms": [{"name": "b", "version": 2}, {"name": "c", "version": 3}],
        },
    ),
    VerbCase(
        "rollout promote a r1 --arm c", "POST", "/agents/a/rollouts/r1/promote", {**THREE_ARMS, "state": "promoted"},
        ["prod serves version 3, everyone"], {"arm": "c", "why": "no reason given"},
    ),
    VerbCase(
        "rollout set-percentage a r1 --arm b --percentage 30", "POST", "/agents/a/rollouts/r1/set-percentage", THREE_ARMS,
        ["b 20% v2"], {"arm": "b", "percentage": 30.0, "why": "no reason given"},
    ),
    VerbCase("caps end cap_1", "DELETE", "/caps/cap_1", CAP, ["cap_1 is gone"], query={"why": "no reason given"}),
]  # fmt: skip


@pytest.mark.parametrize("case", READ + CHANGE, ids=lambda case: case.line)
async def test_a_verb_asks_the_server_once_and_tells_what_came_of_it(switchback, admin, case: VerbCase):
    admin.answer(case.method, case.path, case.answer, case.status)
    result = await switchback(*case.line.split())
    assert result.exit_code == 0, result.output
    # Before a rollback it is looked at where it would go.
    asked = [(asked.method, asked.path) for asked in admin.asked if case.method == "GET" or asked.method != "GET"]
    assert asked == [(case.method, case.path)]
    assert admin.last.body == case.body
    if case.query is not None:
        assert admin.last.query == case.query
    for words in case.told:
        assert words in result.stdout


@pytest.mark.parametrize("case", READ + CHANGE, ids=lambda case: case.line)
async def test_json_gives_programs_the_servers_document_and_nothing_else(switchback, admin, case: VerbCase):
    admin.answer(case.method, case.path, case.answer, case.status)
    result = await switchback(*case.line.split(), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    given = json.loads(result.stdout)
    assert given == ({"items": [{"id": "sw_1"}], "next": None} if case.line.startswith("restore") else case.answer)


@pytest.mark.parametrize("case", [case for case in READ if "items" in case.answer], ids=lambda case: case.line)
async def test_an_empty_list_says_so_in_words(switchback, admin, case: VerbCase):
    admin.answer(case.method, case.path, _page())
    result = await switchback(*case.line.split())
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


@pytest.mark.parametrize(
    "line",
    [
        "agents update a",
        "label a prod",
        "label a prod 2 --delete",
        "label a prod zero",
        "rollout start a --candidate 2 --percentage 101",
        "rollout start a --candidate 2 --percentage 5 --eligible plan",
        "rollout start a --percentage 5",
        "rollout start a --candidate 2 --arm b=2:5",
        "rollout start a --arm b",
        "rollout start a --arm b=2:many",
        "rollout start a --arm b=2:nan",
        "rollout start a --arm =2:5",
        "kill --agent a",
        "kill --why everything",
        "restore",
        "restore sw_1 --all",
        "caps set --agent a --limit much",
        "caps set --agent a --limit nan",
        "runs list --limit 0",
        "nonsense",
    ],
)
async def test_wrong_usage_is_exit_code_2_and_asks_nothing_of_the_server(switchback, admin, line):
    result = await switchback(*line.split())
    assert (result.exit_code, admin.asked) == (2, [])
    assert "error" in result.stderr.lower()
    assert "Traceback" not in result.output


async def test_a_rollout_need_not_be_named_where_only_one_runs(switchback, admin):
    admin.answer("GET", "/agents/a/rollouts", _page({**ROLLOUT, "id": "r2"}, {**ROLLOUT, "state": "rolled_back"}))
    admin.answer("POST", "/agents/a/rollouts/r2/abort", ROLLOUT)
    assert (await switchback("rollout", "abort", "a")).exit_code == 0


async def test_a_rollout_must_be_named_where_several_run_or_none(switchback, admin):
    admin.answer("GET", "/agents/a/rollouts", _page({**ROLLOUT, "id": "r2"}, ROLLOUT))
    admin.answer("GET", "/agents/b/rollouts", _page())
    several, none = await switchback("rollout", "promote", "a"), await switchback("rollout", "promote", "b")
    assert (several.exit_code, none.exit_code) == (2, 1)
    assert "r2, r1" in several.stderr
    assert "it had none yet" in none.stderr
    assert {asked.method for asked in admin.asked} == {"GET"}


async def test_where_no_rollout_runs_the_last_one_is_shown_and_named(switchback, admin):
    last = {**ROLLOUT, "id": "r2", "state": "rolled_back"}
    admin.answer("GET", "/agents/a/rollouts", _page(last, {**ROLLOUT, "state": "promoted"}))
    admin.answer("GET", "/agents/a/rollouts/r2", last)
    said = "no rollout of a runs; the last, r2 on prod, is rolled_back (switchback rollout list a)"
    shown, paused = await switchback("rollout", "show", "a"), await switchback("rollout", "pause", "a")
    assert (shown.exit_code, shown.stderr.strip()) == (0, said)
    assert "r2" in shown.stdout
    assert (paused.exit_code, said in paused.stderr) == (1, True)


async def test_stopping_everything_needs_a_yes(switchback, admin):
    admin.answer("POST", "/switches", {**SWITCH, "scope": {}}, 201)
    assert (await switchback("kill", "--why", "fire")).exit_code == 2
    result = await switchback("kill", "--why", "fire", "--yes")
    assert "block for everything" in result.stdout
    assert admin.last.body["scope"] == {}


@pytest.mark.parametrize("flag", ["--expires", "--for"])
async def test_a_span_until_expiry_becomes_a_time(switchback, admin, flag):
    admin.answer("POST", "/switches", SWITCH, 201)
    await switchback("kill", "--agent", "a", "--why", "x", flag, "15m")
    assert admin.last.body["expires"].endswith("Z")
    assert len(admin.last.body["expires"]) == len("2026-11-20T14:03:00Z")


async def test_all_switches_can_be_taken_off_together(switchback, admin):
    admin.answer("GET", "/switches", _page(SWITCH, {**SWITCH, "id": "sw_2"}))
    admin.answer("DELETE", "/switches/sw_1", SWITCH)
    admin.answer("DELETE", "/switches/sw_2", SWITCH)
    result = await switchback("restore", "--all")
    assert result.stdout == "switch sw_1 is off\nswitch sw_2 is off\n"


async def test_taking_off_all_switches_says_when_none_was_on(switchback, admin):
    admin.answer("GET", "/switches", _page())
    assert (await switchback("restore", "--all")).stdout == "nothing changed: no switch was on\n"


async def test_restoring_a_switch_names_the_others_that_still_stop_its_calls(switchback, admin):
    admin.answer("DELETE", "/switches/sw_1", {**SWITCH, "still_on": [{**SWITCH, "id": "sw_2", "scope": {}}]})
    result = await switchback("restore", "sw_1")
    assert result.stdout.splitlines() == ["switch sw_1 is off", "still on: switch sw_2: block for everything"]


@pytest.mark.parametrize(
    ("line", "path", "made"),
    [
        ("kill --model gpt-4o-mni --why bad", "/switches", SWITCH),
        ("caps set --model gpt-4o-mni --limit 5", "/caps", CAP),
    ],
)
async def test_what_is_made_and_matches_nothing_known_is_told_as_a_warning(switchback, admin, line, path, made):
    said = "no version names the model 'gpt-4o-mni'"
    admin.answer("POST", path, {**made, "warnings": [said]}, 201)
    result = await switchback(*line.split())
    assert (result.exit_code, result.stderr) == (0, f"warning: {said}\n")
    assert made["id"] in result.stdout


async def test_setting_a_cap_whose_model_was_written_in_another_case_gives_it_the_new_limit(switchback, admin):
    there = {**CAP, "id": "cap_7", "scope": {"model": "GPT-4o"}, "window": "day", "unit": "usd"}
    admin.answer("POST", "/caps", {"code": "cap_exists", "detail": "cap cap_7 is there", "status": 409}, 409)
    admin.answer("GET", "/caps", _page({**there, "id": "cap_6", "scope": {"model": "gpt-4"}}, there))
    admin.answer("PUT", "/caps/cap_7", {**there, "limit": 100})
    result = await switchback("caps", "set", "--model", "gpt-4o", "--limit", "100", "--why", "raise")
    assert result.exit_code == 0, result.output
    assert admin.last.body == {"limit": 100, "at_limit": "block", "why": "raise"}


async def test_setting_a_cap_that_is_there_gives_it_the_new_limit(switchback, admin):
    there = {**CAP, "id": "cap_7", "scope": {"agent": "a"}, "window": "day", "unit": "calls", "spent": 2}
    admin.answer("POST", "/caps", {"code": "cap_exists", "detail": "cap cap_7 is there", "status": 409}, 409)
    admin.answer("GET", "/caps", _page({**there, "id": "cap_6", "window": "hour"}, there))
    admin.answer("PUT", "/caps/cap_7", {**there, "limit": 100})
    result = await switchback("caps", "set", "--agent", "a", "--unit", "calls", "--limit", "100", "--why", "raise")
    assert result.exit_code == 0, result.output
    assert admin.last.body == {"limit": 100, "at_limit": "block", "why": "raise"}
    assert "cap_7" in result.stdout
    assert "2 spent" in result.stdout
