"""A name that is none is answered with the nearest there is; nothing is guessed where none is near."""

import pytest


def known(admin) -> None:
    admin.answer("GET", "/agents", {"items": [{"agent": "support-triage"}, {"agent": "billing"}], "next": None})
    labels = {"items": [{"label": "prod", "version": 1}, {"label": "staging", "version": 2}], "next": None}
    admin.answer("GET", "/agents/billing/labels", labels)


@pytest.mark.parametrize("line", ["agents show suport-triage", "versions list suport-triage", "rollback suport-triage"])
async def test_the_nearest_agent_is_named(switchback, admin, line):
    known(admin)
    for method, path in (("GET", ""), ("GET", "/versions"), ("POST", "/rollback")):
        admin.refuse(
            method, f"/agents/suport-triage{path}", 404, "agent_not_found", "there is no agent 'suport-triage'"
        )
    result = await switchback(*line.split())
    assert result.exit_code == 1
    assert "there is no agent 'suport-triage'; did you mean support-triage? [agent_not_found]" in result.stderr


async def test_the_nearest_label_is_named(switchback, admin):
    known(admin)
    admin.refuse("POST", "/agents/billing/rollback", 404, "label_not_set", "the label 'stagin' was never set")
    result = await switchback("rollback", "billing", "--label", "stagin")
    assert "did you mean staging?" in result.stderr
    admin.answer("GET", "/agents/billing", {"agent": "billing", "newest_version": 2, "labels": []})
    shown = await switchback("versions", "show", "billing", "prd")
    assert "did you mean prod?" in shown.stderr


async def test_nothing_is_guessed_where_nothing_is_near_or_nobody_can_tell(switchback, admin):
    admin.refuse("GET", "/agents/zzz", 404, "agent_not_found", "there is no agent 'zzz'")
    assert "did you mean" not in (await switchback("agents", "show", "zzz")).stderr
    known(admin)
    result = await switchback("agents", "show", "zzz")
    assert result.exit_code == 1
    assert "there is no agent 'zzz' [agent_not_found]" in result.stderr


@pytest.mark.parametrize(
    ("line", "meant"),
    [("versions show billing latst", "latest"), ("diff billing stging 1", "staging"), ("diff billing 1 prd", "prod")],
)
async def test_the_nearest_name_of_a_version_is_named(switchback, admin, line, meant):
    known(admin)
    admin.answer("GET", "/agents/billing", {"agent": "billing", "newest_version": 2, "labels": []})
    assert f"did you mean {meant}?" in (await switchback(*line.split())).stderr


@pytest.mark.parametrize(
    "line", ["runs list --agent {}", "outcomes list --agent {}", "runs quarantine --agent {} --why x"]
)
async def test_nothing_found_for_an_agent_that_is_none_is_said_to_be_a_slip(switchback, admin, line):
    known(admin)
    for path in ("/runs", "/outcomes"):
        admin.answer("GET", path, {"items": [], "next": None})
    admin.answer("POST", "/runs/quarantine", {"changed": 0})
    admin.answer("GET", "/agents/billing", {"agent": "billing"})
    admin.refuse("GET", "/agents/biling", 404, "agent_not_found", "there is no agent 'biling' here")
    slip = await switchback(*line.format("biling").split())
    assert slip.exit_code == 0
    assert "warning: there is no agent 'biling' here; did you mean billing?" in slip.stderr
    for silent in ("billing", "unassigned"):
        assert (await switchback(*line.format(silent).split())).stderr == ""


EMPTY = {"items": [], "next": None}


def billing(admin) -> None:
    """An agent with two versions, two labels, three releases and a rollout; no run and no outcome fits anything."""
    known(admin)
    for path in ("/runs", "/outcomes"):
        admin.answer("GET", path, EMPTY)
    admin.answer("GET", "/runs/export", "", headers={"Switchback-Count": "0"})
    admin.answer("POST", "/runs/quarantine", {"changed": 0})
    admin.answer("GET", "/agents/billing", {"agent": "billing"})
    admin.answer("GET", "/agents/billing/versions/2", {"version": 2})
    admin.refuse("GET", "/agents/billing/versions/9", 404, "version_not_found", "no version 9; the newest is 2")
    admin.answer("GET", "/agents/billing/rollouts/r1", {"id": "r1"})
    admin.refuse("GET", "/agents/billing/rollouts/r9", 404, "rollout_not_found", "no rollout 'r9'")
    admin.answer("GET", "/agents/billing/rollouts", {"items": [{"id": "r1"}], "next": None})
    admin.answer("GET", "/agents/billing/releases", {"items": [{"release": 3}], "next": None})


@pytest.mark.parametrize("verb", ["runs list", "runs export", "runs quarantine --why x"])
@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ("--version 9", "no version 9; the newest is 2"),
        ("--release 4", "billing has no release 4; the newest is 3"),
        ("--release 1 --rollout r9", "no rollout 'r9'; the newest is r1"),
    ],
)
async def test_a_filter_that_nothing_can_fit_is_said_to_be_a_slip(switchback, admin, verb, slip, said):
    billing(admin)
    result = await switchback(*verb.split(), "--agent", "billing", *slip.split())
    assert result.exit_code == 0
    assert f"warning: {said}" in result.stderr
    right = await switchback(*f"{verb} --agent billing --version 2 --release 3 --rollout r1".split())
    assert "warning" not in right.stderr


async def test_an_export_of_nothing_says_so_beside_the_file(switchback, admin):
    billing(admin)
    result = await switchback("runs", "export", "--user", "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no runs fit\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("outcomes list --agent billing --label prd", "billing has no label 'prd'; did you mean prod?"),
        ("outcomes list --name scor", "no outcome of late is named 'scor'; did you mean score?"),
        ("outcomes list --run run_zz", "there is no run 'run_zz'"),
        ("agents releases billing --label prd", "billing has no label 'prd'; did you mean prod?"),
    ],
)
async def test_names_of_outcomes_and_labels_are_looked_at_too(switchback, admin, line, said):
    billing(admin)
    admin.answers[("GET", "/agents/billing/releases")] = [(200, EMPTY, {})]
    admin.refuse("GET", "/runs/run_zz", 404, "run_not_found", "there is no run 'run_zz'")
    assert f"warning: {said}" in (await switchback(*line.split())).stderr


async def test_a_look_that_fails_leaves_nothing_found_as_it_is(switchback, admin):
    admin.answer("GET", "/runs", EMPTY)
    result = await switchback("runs", "list", "--agent", "billing", "--version", "9")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "no runs\n", "")
