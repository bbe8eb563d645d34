"""Brings plans of rollouts from files into the server: `NAME.plan.yaml`, anywhere in the directory that is synced.

As with agents, an equal plan is no change, and one that was set elsewhere is not replaced unless forced. Counterparts: sync.py, which
does both, and agent_files.py, whose rules of reading hold here too.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from proxy.cli.admin_client import segment
from proxy.cli.agent_files import AgentFile, BadAgentFiles, load_mapping, not_json, read_agents, shown_path
from proxy.cli.failures import CommandFailed
from proxy.cli.plan_file import times_as_text
from proxy.core.errors import BadInput
from proxy.core.names import check_plan_name
from proxy.core.rollouts.named_plans import frozen_plan
from proxy.core.rollouts.reading import read_plan

Document = dict[str, Any]
PlanResult = Literal["set", "unchanged", "refused"]
_SUFFIX = ".plan.yaml"


class PlanApi(Protocol):
    """What is needed of the admin API; both raise CommandFailed for a refusal."""

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Document: ...

    def put(self, path: str, body: Mapping[str, Any]) -> Document: ...


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan as its file says it, in full. `path` is relative to the directory that was read."""

    name: str
    path: str
    plan: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOutcome:
    """What became of one plan, or in a dry run would."""

    name: str
    path: str
    result: PlanResult
    code: str | None = None
    reason: str = ""

    def document(self) -> Document:
        return {
            "name": self.name,
            "path": self.path,
            "result": self.result,
            "code": self.code,
            "reason": self.reason or None,
        }

    def line(self, *, dry_run: bool) -> str:
        match self.result:
            case "set":
                what = f"{'would be ' if dry_run else ''}set"
            case "unchanged":
                what = "unchanged"
            case "refused":
                what = f"refused: {self.reason}"
        return f"plan {self.name}: {what}"


def read_plans_and_agents(directory: Path) -> tuple[list[PlanFile], list[AgentFile]]:
    """All files of a directory, of one kind at least. Raises BadAgentFiles with the problems of both kinds."""
    plans: list[PlanFile] = []
    problems: list[str] = []
    try:
        plans = read_plan_files(directory)
    except BadAgentFiles as bad:
        problems = bad.problems
    try:
        agents = read_agents(directory, may_be_none=bool(plans or problems))
    except BadAgentFiles as bad:
        raise BadAgentFiles([*bad.problems, *problems]) from None
    if problems:
        raise BadAgentFiles(problems)
    return plans, agents


def read_plan_files(directory: Path) -> list[PlanFile]:
    """Every plan below `directory`, by path. Raises BadAgentFiles with every problem."""
    problems: list[str] = []
    found: dict[str, PlanFile] = {}
    for path in _plan_files(directory):
        shown = shown_path(path, directory)
        try:
            file = _read_one(path, directory, shown)
        except BadAgentFiles as bad:
            problems += bad.problems
            continue
        first = found.setdefault(file.name, file)
        if first is not file:
            problems.append(f"{shown}: the plan {file.name} is described in {first.path} already")
    if problems:
        raise BadAgentFiles(problems)
    return list(found.values())


def sync_plan(
    api: PlanApi, file: PlanFile, *, dry_run: bool, force: bool, source: Mapping[str, Any], why: str
) -> PlanOutcome:
    """Set one plan where its file says another. Raises CommandFailed where the server cannot be asked."""
    path = f"/plans/{segment(file.name)}"
    outcome = PlanOutcome(name=file.name, path=file.path, result="set")
    there = _found(api, path)
    if there is not None and frozen_plan(read_plan(there["plan"])) == file.plan:
        return replace(outcome, result="unchanged")
    if there is not None and "git" not in there["source"] and not force:
        reason = f"it did not come from git ({there['updated_by']} set it): take it into the file, or replace it with --force"
        return replace(outcome, result="refused", code="not_from_git", reason=reason)
    if not dry_run:
        api.put(path, {"plan": file.plan, "source": {"git": source}, "why": why})
    return outcome


def _found(api: PlanApi, path: str) -> Document | None:
    try:
        return api.get(path)
    except CommandFailed as failed:
        if failed.code == "plan_not_found":
            return None
        raise


def _plan_files(directory: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(directory, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (
            Path(folder) / name for name in sorted(files) if name.endswith(_SUFFIX) and not name.startswith(".")
        )


def _read_one(path: Path, directory: Path, shown: str) -> PlanFile:
    content = times_as_text(load_mapping(path, directory, shown, "of steps, guards and other members of a plan"))
    name = path.name.removesuffix(_SUFFIX)
    problems = list(not_json("", content))
    try:
        check_plan_name(name)
        if not problems and content.get("name", name) != name:
            problems.append(f"name: the file's own name says {name}")
        plan = {} if problems else frozen_plan(read_plan({**content, "name": name}))
    except BadInput as bad:
        problems, plan = [bad.message], {}
    if problems:
        raise BadAgentFiles([f"{shown}: {problem}" for problem in problems])
    return PlanFile(name, shown, plan)
