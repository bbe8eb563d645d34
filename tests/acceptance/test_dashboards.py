"""The dashboard and the alert rules in config/ speak of series that a server really shows, with labels they really have."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from proxy.runtime.telemetry.declared import PROCESS_LABEL
from tests.harness import Deployment, deployed
from tests.promql import named_in, problems_of

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "prometheus" / "alerts.yaml"
DASHBOARD = CONFIG / "grafana" / "switchback.json"
USER: Any = [{"role": "user", "content": "hi"}]
BROKEN = [{"role": "user", "content": "hi [[simulate: status=500]]"}]
CUT = [{"role": "user", "content": "hi [[simulate: cut_before_answer]]"}]


async def scraped(home: Path, *, lived: bool = True) -> dict[str, set[str]]:
    """The labels of every series, by its name, of a server that has had calls, errors, a rollout, a rollback, a cap, a switch, a
    fact told later; without `lived`, of one that has just started."""
    async with deployed(home) as deployment:
        if lived:
            await story(deployment)
        async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
            text = await answer.text()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        # With several workers there is one label more.
        of_each = {PROCESS_LABEL} if family.name.startswith("process_") else set[str]()
        for sample in family.samples:
            found.setdefault(sample.name, of_each.copy()).update(sample.labels)
    return found


async def story(deployment: Deployment) -> None:
    operator, app = deployment.operator, deployment.openai(max_retries=0)
    await operator.agent("support", "one", "two")
    await operator.label("support", "prod", 2)
    await operator.post("/agents/support/rollback", label="prod", why="worse")
    await operator.post(
        "/caps", scope={"agent": "support"}, window="day", unit="calls", limit=1, at_limit="warn", why=""
    )
    await operator.post("/agents/support/rollouts", label="prod", candidate=2, percentage=10, why="a canary")
    for _ in range(2):
        answer = await app.chat.completions.with_raw_response.create(model="x", messages=USER)
    await operator.post(f"/runs/{answer.headers['switchback-run-id']}/outcomes", name="validation", value=True)
    for messages in (BROKEN, CUT):
        with pytest.raises(openai.APIError):
            await app.chat.completions.create(model="x", messages=messages)
    await operator.post("/switches", scope={"agent": "support"}, mode="block", why="wrong refunds")
    with pytest.raises(openai.APIError):
        await app.chat.completions.create(model="x", messages=USER)
    await operator.runs(5)


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


async def test_dashboard_and_alerts_name_what_a_scrape_shows(tmp_path: Path) -> None:
    found = await scraped(tmp_path / "home")
    problems: list[str] = []
    panels = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
    for panel in panels:
        for target in panel["targets"]:
            told = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            problems += problems_of(target["expr"], told, found)
    for rule in rules():
        told = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        problems += problems_of(rule["expr"], told, found)
    assert problems == []
    assert len(panels) > 20


async def test_the_first_event_of_a_series_is_counted_and_alerted_too(tmp_path: Path) -> None:
    """`increase()` sees no step where a series begins, so that alone it misses the first rollback and most incidents."""
    there_from_the_start = await scraped(tmp_path / "home", lived=False)
    panels = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]] + [
        rule["expr"] for rule in rules()
    ]
    checked: set[str] = set()
    for expression in expressions:
        for name, span in re.findall(r"increase\((\w+)(?:\{[^}]*\})?\[(\w+)\]", expression):
            begins = rf"\b{name}(\{{[^}}]*\}})? unless {name}(\{{[^}}]*\}})? offset {span}\b"
            assert name in there_from_the_start or re.search(begins, expression), expression
            checked.add(name)
    assert {"switchback_rollbacks_total", "switchback_outcomes_total", "switchback_worker_restarts_total"} <= checked


def test_versions_of_different_agents_are_never_added_up() -> None:
    """A number is one agent's: version 2 of one has nothing to do with version 2 of another."""
    expressions = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", ())
    ]
    groups = [
        set(re.findall(r"\w+", group))
        for expression in [*expressions, *(rule["expr"] for rule in rules())]
        for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    ]
    assert [group for group in groups if "version" in group and "agent" not in group] == []
    assert sum("version" in group for group in groups) > 10


async def test_every_alert_says_how_bad_and_what() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_panels_do_not_overlap_and_ids_are_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


def test_prometheus_itself_takes_the_rules() -> None:
    for rule in rules():
        assert named_in(rule["expr"]).series  # always: brackets, functions and names as far as they are known here
    promtool = shutil.which("promtool")
    if promtool is not None:  # Debian: prometheus
        subprocess.run([promtool, "check", "rules", str(RULES)], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("expression", "told", "problem"),
    [
        ("switchback_gone", set(), "no series switchback_gone"),
        ('sum by (agent) (rate(runs{tenant="a"}[5m]))', set(), "runs has no label tenant"),
        ("sum by (tenant) (runs)", set(), "nothing to group by tenant"),
        ("sum by (agent) (runs)", {"version"}, "the text tells version"),
    ],
)
def test_what_no_scrape_shows_is_found(expression: str, told: set[str], problem: str) -> None:
    (found,) = problems_of(expression, told, {"runs": {"agent", "version"}})
    assert found.startswith(problem)


@pytest.mark.parametrize("expression", ["sum(runs", "rate(runs[5m)]", "ratee(runs)"])
def test_what_prometheus_could_not_read_is_found(expression: str) -> None:
    with pytest.raises(ValueError, match=r"brackets|no function"):
        named_in(expression)
