"""The one table of the admin API's routes: what the application serves, the description describes, the tests go through.

`role` is what a token needs, where an admin's always does; `also` are roles let in beside it where the command itself looks
closer (a label may be protected, a proposal somebody else's). The description shows them as x-roles.
"""

from dataclasses import dataclass
from typing import Literal

from proxy.core.tokens import Role
from proxy.edges.admin.ask_and_answer import Handler
from proxy.edges.admin.bodies import (
    AgentBody,
    AgentChangesBody,
    ApprovalBody,
    Body,
    CapBody,
    CapChangesBody,
    DrillBody,
    LabelBody,
    NamedPlanBody,
    OutcomeBody,
    OutcomesBody,
    PercentageBody,
    PreflightBody,
    PromotionBody,
    ProposalBody,
    ProtectionBody,
    QuarantineBody,
    ReasonBody,
    RollbackBody,
    RolloutBody,
    SwitchBody,
    TokenBody,
    VersionBody,
)
from proxy.edges.admin.contract.refusals import ARM, CLEARED, FILTER, MOVE, PROPOSAL, ROLLBACK, ROLLOUT, SCOPE
from proxy.edges.admin.handlers import (
    agents,
    audit,
    caps,
    labels,
    outcomes,
    proposals,
    protections,
    reports,
    rollouts,
    runs,
    status,
    store,
    switches,
    tokens,
    versions,
    webhooks,
)
from proxy.edges.admin.queries import (
    ComparisonQuery,
    DeliveriesQuery,
    LabelReportQuery,
    OutcomesQuery,
    PageQuery,
    PreflightQuery,
    PriceQuery,
    ProofQuery,
    ProposalsQuery,
    Query,
    ReasonQuery,
    ReleasesQuery,
    ReportQuery,
    RolloutReportQuery,
    RunsExportQuery,
    RunsQuery,
    VersionsAtQuery,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
API_PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `path` is below API_PREFIX; `body` None: a body is not looked at."""

    method: Method
    path: str
    operation: str
    summary: str
    role: Role
    handler: Handler
    answer: str
    body: type[Body] | None = None
    query: type[Query] = Query
    #: Media types of an answer that is no JSON document.
    streams: tuple[str, ...] = ()
    also: tuple[Role, ...] = ()
    #: False for a change that the audit log does not tell of.
    is_audited: bool = True
    #: Codes of refusals beside those that follow from the members above (contract/refusals.py).
    refusals: tuple[str, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"


_AGENT = "/agents/{agent}"
_LABEL = "/agents/{agent}/labels/{label}"
_ROLLOUT = "/agents/{agent}/rollouts/{id}"
_PROPOSAL = "/agents/{agent}/proposals/{id}"

# One operation a row: a table is read by columns.
# fmt: off
ROUTES: tuple[Route, ...] = (
    Route("GET", "/agents", "list_agents", "All agents, by name", "viewer", agents.list_agents, "A page of agents",
          query=PageQuery),
    Route("POST", "/agents", "create_agent", "A new agent", "author", agents.create_agent, "The agent", AgentBody,
          refusals=("agent_exists", "bad_name")),
    Route("GET", _AGENT, "get_agent", "One agent and what its labels serve", "viewer", agents.get_agent, "The agent"),
    Route("PATCH", _AGENT, "update_agent", "Change an agent's description or defaults", "author", agents.update_agent,
          "The agent as it now is", AgentChangesBody, refusals=("bad_name", "label_not_set", "role_insufficient")),
    Route("POST", _AGENT + "/archive", "archive_agent", "Take an agent out of service", "admin", agents.archive_agent,
          "The agent as it now is", ReasonBody, refusals=("rollout_running",)),
    Route("POST", _AGENT + "/unarchive", "unarchive_agent", "Put an archived agent back in service", "admin",
          agents.unarchive_agent, "The agent as it now is", ReasonBody, refusals=("agent_not_archived",)),

    Route("GET", _AGENT + "/versions", "list_versions", "An agent's versions, newest first", "viewer",
          versions.list_versions, "A page of versions without their contents", query=PageQuery),
    Route("POST", _AGENT + "/versions", "create_version", "A new version on top of the newest", "author",
          versions.create_version, "The version; 200 where the newest is identical already", VersionBody,
          refusals=("bad_version", "stale_parent")),
    Route("GET", _AGENT + "/versions/at", "get_versions_at", "What a label served at a moment, percentages included",
          "viewer", versions.get_versions_at, "The release in force then", query=VersionsAtQuery,
          refusals=("bad_time", "label_not_set")),
    Route("GET", _AGENT + "/versions/{a}/diff/{b}", "get_diff", "What changed between two versions", "viewer",
          versions.get_diff, "Changed fields by group, and the prompt by words",
          refusals=("bad_version", "version_not_found")),
    Route("GET", _AGENT + "/versions/{n}/preflight", "check_version", "What would go wrong if a label served a version",
          "viewer", versions.check_version, "Whether nothing is found, else every finding", query=PreflightQuery,
          refusals=("version_not_found",)),
    Route("POST", "/preflight", "check_draft", "What would go wrong if a label served a version that is not made yet", "viewer",
          versions.check_draft, "Whether nothing is found, else every finding; nothing is kept", PreflightBody,
          refusals=("agent_not_found", "bad_name", "bad_version")),
    Route("GET", _AGENT + "/versions/{n}", "get_version", "One version by number, or `latest`", "viewer",
          versions.get_version, "The version with its components", refusals=("version_not_found",)),

    Route("GET", _AGENT + "/labels", "list_labels", "An agent's labels and their rollouts", "viewer",
          labels.list_labels, "A page of labels", query=PageQuery),
    Route("PUT", _LABEL, "move_label", "Point a label at a version", "operator", labels.move_label,
          "What the label serves, and whether it moved; 202 with the proposal where somebody else must approve", LabelBody,
          refusals=MOVE),
    Route("DELETE", _LABEL, "delete_label", "Remove a label", "operator", labels.delete_label,
          "The label that is gone", ReasonBody, query=ReasonQuery,
          refusals=("default_label", "label_not_set", "label_protected", "rollout_running")),
    Route("GET", _AGENT + "/protections", "list_protections", "An agent's protected labels and their rules", "viewer",
          protections.list_protections, "A page of protections", query=PageQuery),
    Route("PUT", _LABEL + "/protection", "protect_label", "Who may move a label, and what a move needs", "admin",
          protections.protect, "The rules as they now are", ProtectionBody, refusals=("bad_name",)),
    Route("DELETE", _LABEL + "/protection", "unprotect_label", "End a label's rules", "admin", protections.unprotect,
          "The rules that are gone", ReasonBody, query=ReasonQuery, refusals=("protection_not_found",)),
    Route("POST", _AGENT + "/rollback", "rollback", "End the label's rollout, else take the label back", "operator",
          labels.rollback, "What the label serves, whether it moved, and which release was undone", RollbackBody,
          refusals=ROLLBACK),
    Route("GET", _AGENT + "/releases", "list_releases", "The release ledger, newest first", "viewer",
          labels.list_releases, "A page of releases", query=ReleasesQuery),

    Route("GET", _AGENT + "/rollouts", "list_rollouts", "An agent's rollouts, newest first", "viewer",
          rollouts.list_rollouts, "A page of rollouts", query=PageQuery),
    Route("POST", _AGENT + "/rollouts", "start_rollout", "Give other versions shares of a label's traffic", "operator",
          rollouts.start_rollout, "The rollout; 202 with the proposal where somebody else must approve", RolloutBody,
          refusals=(*MOVE, "bad_arm", "bad_percentage", "bad_plan", "bad_span", "plan_not_found")),
    Route("GET", _ROLLOUT, "get_rollout", "One rollout", "viewer", rollouts.get_rollout, "The rollout",
          refusals=("rollout_not_found",)),
    Route("POST", _ROLLOUT + "/promote", "promote_rollout", "The candidate, or another arm, serves everyone", "operator",
          rollouts.promote, "The rollout as it ended; 202 with the proposal where somebody else must approve",
          PromotionBody, refusals=(*ROLLOUT, *CLEARED, *ARM)),
    Route("POST", _ROLLOUT + "/abort", "abort_rollout", "The stable version serves everyone again", "operator",
          rollouts.abort, "The rollout as it ended", ReasonBody, refusals=ROLLOUT),
    Route("POST", _ROLLOUT + "/pause", "pause_rollout", "Keep the share as it is; guards go on watching", "operator",
          rollouts.pause, "The rollout as it now is", ReasonBody, refusals=(*ROLLOUT, "rollout_paused")),
    Route("POST", _ROLLOUT + "/resume", "resume_rollout", "Let a paused rollout go on", "operator",
          rollouts.resume, "The rollout as it now is", ReasonBody, refusals=(*ROLLOUT, "rollout_not_paused")),
    Route("POST", _ROLLOUT + "/set-percentage", "set_rollout_percentage", "Change the candidate's share, or another arm's", "operator",
          rollouts.set_percentage, "The rollout as it now is", PercentageBody,
          refusals=(*ROLLOUT, *CLEARED, *ARM, "bad_percentage")),

    Route("GET", "/plans", "list_plans", "Plans that rollouts can be started with by name", "viewer", rollouts.list_plans,
          "A page of plans", query=PageQuery),
    Route("GET", "/plans/{name}", "get_plan", "One plan", "viewer", rollouts.get_plan, "The plan", refusals=("plan_not_found",)),
    Route("PUT", "/plans/{name}", "set_plan", "Keep a plan under a name, in the place of the one there", "operator",
          rollouts.set_plan, "The plan as it now is; rollouts that run keep theirs", NamedPlanBody,
          refusals=("bad_name", "bad_percentage", "bad_plan", "bad_span")),
    Route("DELETE", "/plans/{name}", "delete_plan", "Forget a plan; rollouts that run keep theirs", "operator",
          rollouts.delete_plan, "The plan that is gone", ReasonBody, query=ReasonQuery, refusals=("plan_not_found",)),
    Route("POST", _AGENT + "/drills", "hold_drill", "Rehearse a rollback on the real path, with synthetic calls", "operator",
          labels.hold_drill, "What it came to", DrillBody,
          refusals=("drill_label_taken", "drill_running", "label_not_set", "nothing_to_rehearse", "rollout_running",
                    "switch_holds", "version_not_found")),
    Route("GET", _AGENT + "/drills", "list_drills", "Rollbacks that were rehearsed, newest first", "viewer",
          labels.list_drills, "A page of drills; it may be short while `next` leads on", query=PageQuery),

    Route("GET", _AGENT + "/proposals", "list_proposals", "What waits or waited for a second person, newest first", "viewer",
          proposals.list_proposals, "A page of proposals without their differences", query=ProposalsQuery),
    Route("POST", _AGENT + "/proposals", "create_proposal", "Ask somebody else to move a label", "operator",
          proposals.create_proposal, "The proposal with its difference", ProposalBody, also=("author",), refusals=MOVE),
    Route("GET", _PROPOSAL, "get_proposal", "One proposal with what it changes", "viewer", proposals.get_proposal,
          "The proposal with its difference", refusals=("proposal_not_found",)),
    Route("POST", _PROPOSAL + "/approve", "approve_proposal", "Let it happen; not for whoever proposed it", "operator",
          proposals.approve, "The proposal, carried out", ApprovalBody,
          refusals=(*PROPOSAL, *MOVE, *ROLLOUT, "second_person_required")),
    Route("POST", _PROPOSAL + "/reject", "reject_proposal", "Let it not happen; authors take back their own", "operator",
          proposals.reject, "The proposal as it ended", ReasonBody, also=("author",), refusals=PROPOSAL),

    Route("GET", "/switches", "list_switches", "Kill switches that are on", "viewer", switches.list_switches,
          "A page of switches", query=PageQuery),
    Route("POST", "/switches", "switch_on", "Put a kill switch on", "operator", switches.switch_on,
          "The switch, in force", SwitchBody,
          refusals=(*SCOPE, "bad_switch", "bad_time", "never_served", "preflight_failed", "why_missing")),
    Route("DELETE", "/switches/{id}", "switch_off", "Take a kill switch off", "operator", switches.switch_off,
          "The switch that is gone", ReasonBody, query=ReasonQuery, refusals=("switch_not_found",)),

    Route("GET", "/caps", "list_caps", "Spend limits with what is spent, held and left", "viewer", caps.list_caps,
          "A page of caps", query=PageQuery),
    Route("POST", "/caps", "set_cap", "A new spend limit, counting from now", "operator", caps.set_cap,
          "The cap, in force", CapBody, refusals=(*SCOPE, "bad_cap", "bad_limit", "cap_exists")),
    Route("GET", "/caps/{id}/counters", "list_counters", "What each user or rollout has spent, holds and has left in the "
          "present window, in the order they first spent", "viewer", caps.list_counters, "A page of counters",
          query=PageQuery, refusals=("cap_not_found",)),
    Route("PUT", "/caps/{id}", "change_cap", "Another limit for the same cap", "operator", caps.change_cap,
          "The cap as it now is", CapChangesBody, refusals=("bad_limit", "cap_not_found")),
    Route("DELETE", "/caps/{id}", "end_cap", "Remove a spend limit", "operator", caps.end_cap, "The cap that is gone",
          ReasonBody, query=ReasonQuery, refusals=("cap_not_found",)),

    Route("GET", "/runs", "list_runs", "Recorded runs, newest first", "viewer", runs.list_runs, "A page of runs",
          query=RunsQuery, refusals=FILTER),
    Route("GET", "/runs/export", "export_runs", "All runs that fit, in bounded memory", "viewer", runs.export_runs,
          "One run a line, newest first; a connection that ends early is an incomplete export",
          query=RunsExportQuery, streams=("application/x-ndjson", "text/csv"), refusals=FILTER),
    Route("POST", "/runs/quarantine", "quarantine_runs", "Tag runs, so that reports can leave them out", "operator",
          runs.quarantine_runs, "How many changed, and which were meant", QuarantineBody,
          refusals=(*FILTER, "no_filter", "run_not_found")),
    Route("GET", "/runs/{id}", "get_run", "One run with its attempts and outcomes", "viewer", runs.get_run, "The run",
          refusals=("run_not_found",)),
    Route("POST", "/runs/{id}/outcomes", "record_outcome", "A later fact about a run", "operator", outcomes.record_outcome,
          "The outcome", OutcomeBody, is_audited=False, refusals=("bad_outcome", "run_not_found")),
    Route("GET", "/outcomes", "list_outcomes", "Later facts about runs, newest first", "viewer", outcomes.list_outcomes,
          "A page of outcomes, each with what served its run; it may be short while `next` leads on", query=OutcomesQuery,
          refusals=FILTER),
    Route("POST", "/outcomes", "record_outcomes", "Later facts about many runs", "operator", outcomes.record_outcomes,
          "The outcomes, and the runs that nobody knows", OutcomesBody, is_audited=False, refusals=("bad_outcome",)),

    Route("GET", "/reports/versions", "report_versions", "What an agent's runs come to, by version and arm", "viewer",
          reports.report_versions, "The report", query=ReportQuery, refusals=("agent_not_found", *FILTER)),
    Route("GET", "/reports/label", "report_label", "What the runs of a label come to, by version and arm", "viewer",
          reports.report_label, "The report", query=LabelReportQuery, refusals=("agent_not_found", *FILTER)),
    Route("GET", "/reports/rollout", "report_rollout", "What the runs of a rollout come to, by arm", "viewer",
          reports.report_rollout, "The report", query=RolloutReportQuery,
          refusals=("agent_not_found", *FILTER, "rollout_not_found")),
    Route("GET", "/reports/comparison", "compare_versions", "What two versions' runs come to, and how they differ", "viewer",
          reports.compare_versions, "Both, and the difference", query=ComparisonQuery,
          refusals=("agent_not_found", *FILTER, "version_not_found")),

    Route("GET", "/tokens", "list_tokens", "Tokens of the admin API, newest first, also revoked ones", "admin",
          tokens.list_tokens, "A page of tokens without their texts", query=PageQuery),
    Route("POST", "/tokens", "create_token", "A new token", "admin", tokens.create_token,
          "The token, with its text in `token`: shown this once, kept nowhere", TokenBody, refusals=("bad_name", "bad_time")),
    Route("DELETE", "/tokens/{id}", "revoke_token", "End a token; the next request with it is refused", "admin",
          tokens.revoke_token, "The token as it ended", ReasonBody, query=ReasonQuery, refusals=("token_not_found",)),

    Route("GET", "/webhooks", "list_webhooks", "Who is told of changes, and how that goes", "viewer", webhooks.list_webhooks,
          "A page of endpoints", query=PageQuery),
    Route("GET", "/webhooks/deliveries", "list_deliveries", "What endpoints have not taken yet, and dead letters", "viewer",
          webhooks.list_deliveries, "A page of deliveries", query=DeliveriesQuery),
    Route("POST", "/webhooks/deliveries/{id}/resend", "resend_delivery", "Try a delivery again, from the first try on", "operator",
          webhooks.resend_delivery, "The delivery, due now", is_audited=False, refusals=("delivery_not_found",)),

    Route("GET", "/audit", "list_audit", "The audit log, newest first", "viewer", audit.list_audit,
          "A page of entries, each with exactly the members its hash covers", query=PageQuery),
    Route("GET", "/changes/{id}", "get_change", "Whether a change that was sent with the header Switchback-Change-Id took place",
          "viewer", audit.get_change, "`changed`, `not_changed` or `unknown`, and its audit entries; an id that was never seen is "
          "given up by asking", refusals=("bad_change_id",)),
    Route("GET", "/audit/export", "export_audit", "The whole audit log, oldest first", "viewer", audit.export_audit,
          "One entry a line, which verifies offline", streams=("application/x-ndjson",)),
    Route("GET", "/audit/verify", "verify_audit", "Prove the log and every row it speaks about", "viewer",
          audit.verify_audit, "Whether all holds, else the first entry or row that does not", query=ProofQuery),
    Route("GET", "/audit/head", "get_audit_head", "The newest audit entry's hash, to anchor it elsewhere", "viewer",
          audit.audit_head, "Number, hash and time of the newest entry"),

    Route("GET", "/store/backup", "back_up_store", "One moment of the whole database, as a file", "admin", store.back_up,
          "The file; its head is in Switchback-Audit-Head, its length in Switchback-Count",
          streams=("application/vnd.sqlite3",)),
    Route("POST", "/store/compact", "compact_store", "Prune what retention lets go, and give space back", "admin", store.compact,
          "What was done", ReasonBody),

    Route("GET", "/prices", "get_price", "What a model costs", "viewer", status.get_price,
          "The price, or that it is unknown", query=PriceQuery, refusals=("provider_not_configured",)),
    Route("GET", "/status", "get_status", "How this process is", "viewer", status.get_status, "The status"),
)
# fmt: on
