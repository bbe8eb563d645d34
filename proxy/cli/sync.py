"""Brings agents and plans from files into the server, and agents out again: what `switchback sync DIR` and `agents export DIR` do.

An agent's files are compared with its newest version only. Equal content makes no version; a newest version that did not come
from git is never built over unless forced, so that an edit made elsewhere is not silently reverted. Whether a change is allowed
is the server's to say. Counterparts: agent_files.py, agent_writing.py and plan_sync.py; git_verbs.py has the options.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from proxy.cli.admin_client import segment
from proxy.cli.agent_files import AgentFile
from proxy.cli.failures import EXIT_CHANGED, EXIT_CONFLICT, EXIT_FAILED, EXIT_UNKNOWN, EXIT_UNREACHABLE, CommandFailed
from proxy.cli.plan_sync import PlanFile, PlanOutcome, read_plans_and_agents, sync_plan
from proxy.cli.protected_moves import is_proposal, with_evidence
from proxy.core.errors import BadInput
from proxy.core.versions.components import COMPONENT_KINDS, Bundle, parse_bundle
from proxy.core.versions.new_versions import check_new_version, says_the_same

Document = dict[str, Any]
SyncResult = Literal["created", "unchanged", "refused"]
#: `proposed`: the label is protected, and the move waits for a second person.
LabelResult = Literal["moved", "unchanged", "proposed", "refused"]

NOT_FROM_GIT = "not_from_git"
_NO_GIT = "the newest version did not come from git"
#: Settings of the agent itself that a file may state.
_SETTINGS = ("description", "default_label", "allow_latest", "unapplied")
ALL_ITEMS = 1_000_000


class Api(Protocol):
    """What is needed of the admin API; every method raises CommandFailed for a refusal."""

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Document: ...

    def items(self, path: str, limit: int, query: Mapping[str, Any] | None = None) -> Document: ...

    def post(self, path: str, body: Mapping[str, Any]) -> Document: ...

    def put(self, path: str, body: Mapping[str, Any]) -> Document: ...

    def patch(self, path: str, body: Mapping[str, Any]) -> Document: ...

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: Mapping[str, Any] | None = None
    ) -> tuple[int, Document]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOutcome:
    """What became of one agent. `version` is the one its content is now; in a dry run the one it would be."""

    agent: str
    path: str
    result: SyncResult
    version: int | None
    created_agent: bool = False
    code: str | None = None
    reason: str = ""
    label: LabelResult | None = None
    label_reason: str = ""
    #: What a preflight found of it.
    findings: tuple[Document, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        return "refused" in (self.result, self.label)

    def document(self) -> Document:
        return {
            "agent": self.agent,
            "path": self.path,
            "result": self.result,
            "version": self.version,
            "created_agent": self.created_agent,
            "code": self.code,
            "reason": self.reason or None,
            "label": self.label,
            "label_reason": self.label_reason or None,
            "findings": list(self.findings),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did, or with `dry_run` would do, agent by agent."""

    outcomes: tuple[AgentOutcome, ...]
    plans: tuple[PlanOutcome, ...] = ()
    dry_run: bool
    label: str | None = None
    git_commit: str | None = None

    @property
    def exit_code(self) -> int:
        """0, or that of a conflict where anything was refused."""
        refused = [outcome for outcome in self.outcomes if outcome.is_refused]
        return EXIT_CONFLICT if refused or any(plan.result == "refused" for plan in self.plans) else 0

    def document(self) -> Document:
        return {
            "dry_run": self.dry_run,
            "label": self.label,
            "git_commit": self.git_commit,
            "agents": [outcome.document() for outcome in self.outcomes],
            "plans": [plan.document() for plan in self.plans],
        }

    def lines(self) -> list[str]:
        """For people: what happened to each agent, and a sum."""
        lines = [line for outcome in self.outcomes for line in self._lines_of(outcome)]
        lines += [plan.line(dry_run=self.dry_run) for plan in self.plans]
        counts = {result: sum(1 for outcome in self.outcomes if outcome.result == result) for result in _RESULTS}
        total = ", ".join(f"{count} {result}" for result, count in counts.items())
        source = "no git commit to record" if self.git_commit is None else f"git commit {self.git_commit}"
        return [*lines, f"{'dry run, nothing was changed: ' if self.dry_run else ''}{total} ({source})"]

    def _lines_of(self, outcome: AgentOutcome) -> list[str]:
        would = "would be " if self.dry_run else ""
        match outcome.result:
            case "created":
                what = f"version {outcome.version} {would}created"
                if outcome.created_agent:
                    what = f"agent {would}created, {what}"
            case "unchanged":
                what = f"unchanged, version {outcome.version} has this content already"
            case "refused":
                what = f"refused: {outcome.reason}"
        if outcome.label == "moved":
            what += f"; {self.label} {'would serve' if self.dry_run else 'now serves'} it"
        elif outcome.label == "proposed":
            what += f"; {self.label} is protected: {outcome.label_reason}"
        elif outcome.label == "refused":
            what += f"; {self.label} {'would not be' if self.dry_run else 'was not'} moved: {outcome.label_reason}"
        return [f"{outcome.agent}: {what}", *(f"{outcome.agent}: note: {note}" for note in outcome.notes)]


_RESULTS: tuple[SyncResult, ...] = ("created", "unchanged", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sync:
    """One sync: how, and the steps for one agent."""

    api: Api
    dry_run: bool
    label: str | None
    force: bool
    commit: str | None
    root: str
    #: What is said of new versions, in place of what their files say.
    message: str | None = None

    def agent(self, file: AgentFile) -> AgentOutcome:
        path = f"/agents/{segment(file.name)}"
        found = self._found(path)
        newest = None if found is None else found.get("newest_version")
        current = None if newest is None else self.api.get(f"{path}/versions/{newest}")
        outcome = self._outcome(file, found, current)
        if outcome.result == "created":
            outcome = self._refused_as_new(file, outcome)
        if outcome.result == "refused":
            return outcome
        try:
            outcome = replace(outcome, notes=self._settings(file, found, path))
            if found is None and not self.dry_run:
                self.api.post("/agents", {**file.agent, "why": self._why()})
            if outcome.result == "created" and not self.dry_run:
                status, made = self.api.request("POST", f"{path}/versions", self._body(file, newest))
                result: SyncResult = "created" if status == 201 else "unchanged"
                outcome = replace(outcome, result=result, version=made["version"])
        except CommandFailed as failed:
            return replace(outcome, result="refused", version=newest, code=_refusal(failed).code, reason=failed.message)
        if self.label is not None:
            return self._moved(file, outcome, found, path)
        return self._foreseen(file, outcome) if outcome.result == "created" else outcome

    def plan(self, file: PlanFile) -> PlanOutcome:
        source = {"commit": self.commit, "path": f"{self.root}/{file.path}"}
        try:
            return sync_plan(self.api, file, dry_run=self.dry_run, force=self.force, source=source, why=self._why())
        except CommandFailed as failed:
            refusal = _refusal(failed)
            return PlanOutcome(
                name=file.name, path=file.path, result="refused", code=refusal.code, reason=refusal.message
            )

    def _found(self, path: str) -> Document | None:
        try:
            return self.api.get(path)
        except CommandFailed as failed:
            if failed.code == "agent_not_found":
                return None
            raise

    def _outcome(self, file: AgentFile, found: Document | None, current: Document | None) -> AgentOutcome:
        """What is to be done, from what is there."""
        plain = AgentOutcome(agent=file.name, path=file.path, result="created", version=1, created_agent=found is None)
        if found is not None and found.get("archived"):
            return replace(plain, result="refused", version=None, code="archived", reason="the agent is archived")
        if current is None:
            return plain
        number = current["version"]
        if current.get("version_id") == file.bundle_hash or says_the_same(_bundle(current), _bundle(file.version)):
            return replace(plain, result="unchanged", version=number)
        if "git" not in (current.get("source") or {}) and not self.force:
            author = current.get("author")
            reason = f"{_NO_GIT} (version {number} by {author}): export it, or build over it with --force"
            return replace(plain, result="refused", version=number, code=NOT_FROM_GIT, reason=reason)
        return replace(plain, version=number + 1)

    def _refused_as_new(self, file: AgentFile, outcome: AgentOutcome) -> AgentOutcome:
        """What the server would refuse of a new version is refused in a dry run as well."""
        try:
            check_new_version(file.version)
        except BadInput as bad:
            return replace(outcome, result="refused", version=None, code=bad.code, reason=bad.message)
        return outcome

    def _settings(self, file: AgentFile, found: Document | None, path: str) -> tuple[str, ...]:
        """Settings of an agent that exists are changed only by force: nothing tells who set them last."""
        if found is None:
            return ()
        differing = {
            key: file.agent[key] for key in _SETTINGS if key in file.agent and file.agent[key] != found.get(key)
        }
        if not differing:
            return ()
        names = ", ".join(differing)
        if not self.force:
            return (f"{names} of the agent differ from the file and were left as they are; --force changes them",)
        if not self.dry_run:
            self.api.patch(path, {**differing, "why": self._why()})
        return (f"{names} of the agent {'would be' if self.dry_run else 'were'} changed",)

    def _moved(self, file: AgentFile, outcome: AgentOutcome, found: Document | None, path: str) -> AgentOutcome:
        """Move the label, unless somebody else moved it since this agent was read. The evidence is what the file says the
        version was tested against."""
        labels = cast("list[Document]", (found or {}).get("labels") or [])
        now = next((label for label in labels if label.get("label") == self.label), Document())
        if self.dry_run:
            return self._would_move(file, outcome, now.get("version"), None if found is None else path)
        body: Document = {"version": outcome.version, "why": self._why(), "if_release": now.get("release") or 0}
        if self.force:
            body["force"] = True
        try:
            moved = self.api.put(f"{path}/labels/{segment(self.label)}", with_evidence(body, file.evaluations))
        except CommandFailed as failed:
            reason, outcome = _refusal(failed).message, replace(outcome, findings=failed.findings)
            if failed.code == "evaluation_required":
                reason = _evaluation_missing(file)
            return replace(outcome, label="refused", label_reason=reason)
        if is_proposal(moved):
            return replace(
                outcome, label="proposed", label_reason=f"proposal {moved.get('id')} waits for somebody else"
            )
        return replace(outcome, label="unchanged" if moved.get("changed") is False else "moved")

    def _would_move(
        self, file: AgentFile, outcome: AgentOutcome, serving: int | None, path: str | None
    ) -> AgentOutcome:
        """What a move would come to; `path` is that of the agent, None where it would be new."""
        if serving == outcome.version:
            return replace(outcome, label="unchanged")
        rules: list[Document] = [] if path is None else self.api.items(f"{path}/protections", ALL_ITEMS)["items"]
        rule = next((rule for rule in rules if rule.get("label") == self.label), Document())
        if rule.get("evaluation_required") and not file.evaluations:
            return replace(outcome, label="refused", label_reason=_evaluation_missing(file))
        outcome = self._foreseen(file, outcome)
        if outcome.findings and not self.force:
            what = "; ".join(str(finding.get("message")) for finding in outcome.findings)
            return replace(outcome, label="refused", label_reason=f"it would not work: {what}", notes=())
        if rule.get("approval_required"):
            return replace(outcome, label="proposed", label_reason="the move would wait for somebody else")
        return replace(outcome, label="moved")

    def _foreseen(self, file: AgentFile, outcome: AgentOutcome) -> AgentOutcome:
        """What the server expects of the version, made or not, where a label serves it."""
        components = {name: file.version[name] for name in COMPONENT_KINDS if name in file.version}
        label = self.label or file.agent.get("default_label")
        found = self.api.post("/preflight", {"agent": file.name, "label": label, **components})
        findings = tuple(cast("list[Document]", found.get("findings") or []))
        said = [f"it would not work: {finding.get('message')}" for finding in findings]
        notices = cast("list[str]", found.get("notices") or [])
        return replace(outcome, findings=findings, notes=(*outcome.notes, *said, *notices))

    def _body(self, file: AgentFile, newest: int | None) -> Document:
        git = {"commit": self.commit, "path": f"{self.root}/{file.path}"}
        said = {} if self.message is None else {"message": self.message}
        return {**file.version, **said, "parent": newest, "source": {"git": git}, "why": self._why()}

    def _why(self) -> str:
        return f"sync from git{'' if self.commit is None else f' at {self.commit[:12]}'}"


def sync(
    client: Api,
    directory: Path,
    *,
    dry_run: bool = False,
    label: str | None = None,
    force: bool = False,
    git_commit: str | None = None,
    message: str | None = None,
) -> SyncReport:
    """Set the plans in `directory`, and create versions for the agents whose content changed; with `label`, then move it to them. `message` is that of
    the new versions [what each file says].

    All files are read before anything is changed. An agent that is refused does not keep the others back. Raises
    BadAgentFiles for files that cannot be used and CommandFailed where the server cannot be asked.
    """
    plans, files = read_plans_and_agents(directory)
    root = directory.resolve().name
    run = _Sync(api=client, dry_run=dry_run, label=label, force=force, commit=git_commit, root=root, message=message)
    try:
        set_plans = tuple(run.plan(plan) for plan in plans)
        outcomes = tuple(run.agent(file) for file in files)
    except CommandFailed as failed:
        if failed.exit_code != EXIT_UNREACHABLE:
            raise
        raise _told_without_a_server(files, failed) from None
    return SyncReport(outcomes=outcomes, plans=set_plans, dry_run=dry_run, label=label, git_commit=git_commit)


def _bundle(version: Mapping[str, Any]) -> Bundle:
    return parse_bundle({kind: version.get(kind) for kind in COMPONENT_KINDS})


def _told_without_a_server(files: Sequence[AgentFile], failed: CommandFailed) -> CommandFailed:
    """The failure, behind what could not become a version whatever the server holds."""
    found: list[str] = []
    for file in files:
        try:
            check_new_version(file.version)
        except BadInput as bad:
            found.append(f"{file.path}: {bad.message}")
    if not found:
        return failed
    return CommandFailed(failed.message, failed.exit_code, failed.code, problems=[*found, failed.message])


def _evaluation_missing(file: AgentFile) -> str:
    return f"it needs an evaluation that the version passed: name it in {file.path} as tested_against.evaluation"


def _refusal(failed: CommandFailed) -> CommandFailed:
    """`failed` where the server said no; raised again where it could not be asked, which concerns every agent."""
    if failed.exit_code in (EXIT_UNREACHABLE, EXIT_CHANGED, EXIT_UNKNOWN) or (
        failed.exit_code == EXIT_FAILED and failed.code is None
    ):
        raise failed
    return failed
