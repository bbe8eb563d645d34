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
