"""Handlers: rollouts, and plans that have names."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.core.bucketing import buckets_for
from proxy.core.errors import BadInput
from proxy.core.releasing.arms import RolloutDraft, WantedArm, candidate_arm, check_arm_names
from proxy.core.releasing.proposals import Proposal
from proxy.core.rollouts.named_plans import NamedPlanDocument, frozen_plan, named_plan_document
from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.reading import fixed_share, read_new_plan, read_plan
from proxy.core.snapshot import RolloutDocument, rollout_document
from proxy.edges.admin.answers.labels import ProposalShown
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.rollouts import PlanDeleted, RolloutAborted, RolloutMoved, RolloutShown
from proxy.edges.admin.ask_and_answer import Accepted, AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import NamedPlanBody, PercentageBody, PromotionBody, ReasonBody, RolloutBody, evidence_of
from proxy.edges.admin.handlers.proposals import noticed, shown_proposal
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import PageQuery, ReasonQuery
from proxy.runtime.releasing.plan_commands import PlanCommands
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.reports.agents import AgentReader
from proxy.runtime.reports.plans import PlanReader
from proxy.runtime.reports.releases import ProposalReader, ReleaseReader
from proxy.runtime.state.journal import Journal


async def list_rollouts(agents: AgentReader, releases: ReleaseReader, ask: Ask) -> AdminAnswer[Listed[RolloutDocument]]:
    query = ask.query_as(PageQuery)
    state = await agents.known(ask.path["agent"])
    return page_answer(await releases.rollouts(state, query.cursor, query.limit), rollout_document)


async def start_rollout(
    rollouts: RolloutCommands, plans: PlanReader, proposals: ProposalReader, ask: Ask
) -> Created[RolloutMoved] | Accepted[ProposalShown]:
    body = ask.body_as(RolloutBody)
    plan = await _plan_of(body, plans)
    draft = RolloutDraft(label=body.label, arms=_arms_of(body, plan), eligible=plan.eligible, plan=frozen_plan(plan))
    notices: list[str] = []
    started = await rollouts.start_rollout(
        ask.who,
        ask.path["agent"],
        draft,
        body.why,
        role=ask.caller.role,
        evidence=evidence_of(body.evidence),
        force=body.force,
        notices=notices,
    )
    if isinstance(started, Proposal):
        return Accepted(await shown_proposal(proposals, started, notices))
    begun: RolloutMoved = {**rollout_document(started), **noticed(notices)}
    return Created(begun)


async def get_rollout(agents: AgentReader, releases: ReleaseReader, ask: Ask) -> AdminAnswer[RolloutShown]:
    state = await agents.known(ask.path["agent"])
    rollout = await releases.rollout(state, ask.path["id"])
    progress, watch = await releases.progress(rollout), await releases.watch(rollout)
    return AdminAnswer({**rollout_document(rollout), "progress": progress, "watch": watch})


async def promote(
    rollouts: RolloutCommands, proposals: ProposalReader, ask: Ask
) -> AdminAnswer[RolloutMoved] | Accepted[ProposalShown]:
    body, notices = ask.body_as(PromotionBody), list[str]()
    promoted = await rollouts.promote(
        ask.who,
        ask.path["agent"],
        ask.path["id"],
        body.why,
        arm=body.arm,
        role=ask.caller.role,
        evidence=evidence_of(body.evidence),
        force=body.force,
        notices=notices,
    )
    if isinstance(promoted, Proposal):
        return Accepted(await shown_proposal(proposals, promoted, notices))
    return AdminAnswer({**rollout_document(promoted), **noticed(notices)})


async def abort(rollouts: RolloutCommands, journal: Journal, ask: Ask) -> AdminAnswer[RolloutAborted]:
    why = ask.body_as(ReasonBody).why
    ended = await rollouts.abort(ask.who, ask.path["agent"], ask.path["id"], why)
    return AdminAnswer({**rollout_document(ended), **journal.note(f"agents/{ended.agent}/rollouts/{ended.id}")})


async def pause(rollouts: RolloutCommands, ask: Ask) -> AdminAnswer[RolloutDocument]:
    why = ask.body_as(ReasonBody).why
    return AdminAnswer(rollout_document(await rollouts.pause(ask.who, ask.path["agent"], ask.path["id"], why)))


async def resume(rollouts: RolloutCommands, ask: Ask) -> AdminAnswer[RolloutDocument]:
    why = ask.body_as(ReasonBody).why
    return AdminAnswer(rollout_document(await rollouts.resume(ask.who, ask.path["agent"], ask.path["id"], why)))


async def set_percentage(rollouts: RolloutCommands, ask: Ask) -> AdminAnswer[RolloutDocument]:
    body = ask.body_as(PercentageBody)
    rollout = await rollouts.set_percentage(
        ask.who, ask.path["agent"], ask.path["id"], body.percentage, body.why, arm=body.arm, role=ask.caller.role
    )
    return AdminAnswer(rollout_document(rollout))


async def list_plans(plans: PlanReader, ask: Ask) -> AdminAnswer[Listed[NamedPlanDocument]]:
    query = ask.query_as(PageQuery)
    return page_answer(await plans.page(query.cursor, query.limit), named_plan_document)


async def get_plan(plans: PlanReader, ask: Ask) -> AdminAnswer[NamedPlanDocument]:
    return AdminAnswer(named_plan_document(await plans.plan(ask.path["name"])))


async def set_plan(plans: PlanCommands, ask: Ask) -> AdminAnswer[NamedPlanDocument]:
    body = ask.body_as(NamedPlanBody)
    named = await plans.set_plan(ask.who, ask.path["name"], body.plan, body.why, source=body.source)
    return AdminAnswer(named_plan_document(named))


async def delete_plan(plans: PlanCommands, ask: Ask) -> AdminAnswer[PlanDeleted]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    gone = await plans.delete_plan(ask.who, ask.path["name"], why)
    return AdminAnswer({**named_plan_document(gone), "removed": True})


async def _plan_of(body: RolloutBody, plans: PlanReader) -> Plan:
    """Raises BadInput(`bad_arm`, `bad_plan`, `bad_percentage`), NotFound(`plan_not_found`)."""
    if (body.candidate is None) == (not body.arms):
        raise BadInput("bad_arm", "name a `candidate`, or `arms` with fixed shares, and not both", param="candidate")
    if body.percentage is None:
        if isinstance(body.plan, str):
            plan = read_new_plan(_with_shares((await plans.plan(body.plan)).plan, body))
        else:
            # Whose name it says is no matter: it is not looked up.
            plan = replace(read_new_plan(_with_shares(body.plan or {}, body)), name=None)
        if body.pinned:
            plan = replace(plan, pinned=read_plan({"pinned": body.pinned, "arms": plan.arms}).pinned)
        return replace(plan, eligible=body.eligible) if body.eligible else plan
    if body.arms:
        raise BadInput("bad_percentage", "`percentage` is a candidate's; each arm has its own", param="percentage")
    if body.plan is not None:
        raise BadInput("bad_plan", "name a plan or a fixed percentage, not both", param="percentage")
    buckets_for(body.percentage)
    return fixed_share(body.percentage, body.eligible, body.pinned)


def _with_shares(document: Mapping[str, Any], body: RolloutBody) -> Mapping[str, Any]:
    """The plan with the shares that the body says. Raises BadInput(`bad_arm`)."""
    names = [arm.name for arm in body.arms]
    shares = {arm.name: arm.percentage for arm in body.arms if arm.percentage is not None}
    if not shares:
        return document
    check_arm_names(names)
    if document.get("arms"):
        raise BadInput("bad_arm", "the plan has the arms' shares already; leave `percentage` out", param="arms")
    lacking = next((name for name in names if name not in shares), None)
    if lacking is not None:
        raise BadInput("bad_arm", f"the arm {lacking} has no `percentage`", param="arms")
    return {**document, "arms": shares}


def _arms_of(body: RolloutBody, plan: Plan) -> tuple[WantedArm, ...]:
    """Each of the plan's arms with its version. Raises BadInput(`bad_arm`)."""
    if body.candidate is not None and not plan.arms:
        return candidate_arm(body.candidate, plan.steps[0].percentage)
    versions = {arm.name: arm.version for arm in body.arms}
    if versions.keys() != plan.arms.keys() or len(versions) != len(body.arms):
        there_are = ", ".join(plan.arms) or "none, and so needs a percentage of each"
        raise BadInput(
            "bad_arm", f"`arms` must say a version of each of the plan's arms, once: {there_are}", param="arms"
        )
    return tuple(WantedArm(name, versions[name], share) for name, share in plan.arms.items())
