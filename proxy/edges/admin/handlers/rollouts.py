"""Handlers: rollouts."""

from dataclasses import replace

from proxy.core.bucketing import buckets_for
from proxy.core.errors import BadInput, NotFound
from proxy.core.releasing.proposals import Proposal
from proxy.core.rollouts.plan import Plan
from proxy.core.rollouts.reading import fixed_share, plan_document, read_plan
from proxy.core.snapshot import AgentState, Rollout, RolloutDocument, rollout_document
from proxy.edges.admin.answers.labels import ProposalShown
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.rollouts import RolloutAborted, RolloutMoved, RolloutShown
from proxy.edges.admin.bodies import PercentageBody, PromotionBody, ReasonBody, RolloutBody, evidence_of
from proxy.edges.admin.handlers.agents import known_agent
from proxy.edges.admin.handlers.proposals import noticed, shown_proposal
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import Accepted, AdminParts, Answer, Ask, Created
from proxy.edges.admin.queries import PageQuery
from proxy.runtime.releasing.release_rows import RolloutDraft


async def list_rollouts(parts: AdminParts, ask: Ask) -> Answer[Listed[RolloutDocument]]:
    query = ask.query_as(PageQuery)
    state = await known_agent(parts, ask)
    return page_answer(await parts.store.rollouts(state.agent.name, query.cursor, query.limit), rollout_document)


async def start_rollout(parts: AdminParts, ask: Ask) -> Created[RolloutMoved] | Accepted[ProposalShown]:
    body = ask.body_as(RolloutBody)
    plan = _plan_of(body)
    draft = RolloutDraft(
        label=body.label,
        candidate=body.candidate,
        percentage=plan.steps[0].percentage,
        eligible=plan.eligible,
        plan=plan_document(plan),
    )
    notices: list[str] = []
    started = await parts.rollouts.start_rollout(
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
        return Accepted(await shown_proposal(parts, started, notices))
    begun: RolloutMoved = {**rollout_document(started), **noticed(notices)}
    return Created(begun)


async def get_rollout(parts: AdminParts, ask: Ask) -> Answer[RolloutShown]:
    state = await known_agent(parts, ask)
    wanted = ask.path["id"]
    rollout = await find_rollout(parts, state, wanted)
    if rollout is None:
        raise NotFound("rollout_not_found", f"agent {state.agent.name!r} has no rollout {wanted!r}", param="rollout")
    progress = await parts.rollout_loop.standing(rollout.agent, rollout.id)
    watch = await parts.rollout_loop.watch(rollout.agent, rollout.id)
    return Answer({**rollout_document(rollout), "progress": progress, "watch": watch})


async def promote(parts: AdminParts, ask: Ask) -> Answer[RolloutMoved] | Accepted[ProposalShown]:
    body, notices = ask.body_as(PromotionBody), list[str]()
    promoted = await parts.rollouts.promote(
        ask.who,
        ask.path["agent"],
        ask.path["id"],
        body.why,
        role=ask.caller.role,
        evidence=evidence_of(body.evidence),
        force=body.force,
        notices=notices,
    )
    if isinstance(promoted, Proposal):
        return Accepted(await shown_proposal(parts, promoted, notices))
    return Answer({**rollout_document(promoted), **noticed(notices)})


async def abort(parts: AdminParts, ask: Ask) -> Answer[RolloutAborted]:
    why = ask.body_as(ReasonBody).why
    ended = await parts.rollouts.abort(ask.who, ask.path["agent"], ask.path["id"], why)
    return Answer(
        {**rollout_document(ended), **parts.standby.journal.note(f"agents/{ended.agent}/rollouts/{ended.id}")}
    )


async def pause(parts: AdminParts, ask: Ask) -> Answer[RolloutDocument]:
    why = ask.body_as(ReasonBody).why
    return Answer(rollout_document(await parts.rollouts.pause(ask.who, ask.path["agent"], ask.path["id"], why)))


async def resume(parts: AdminParts, ask: Ask) -> Answer[RolloutDocument]:
    why = ask.body_as(ReasonBody).why
    return Answer(rollout_document(await parts.rollouts.resume(ask.who, ask.path["agent"], ask.path["id"], why)))


async def set_percentage(parts: AdminParts, ask: Ask) -> Answer[RolloutDocument]:
    body = ask.body_as(PercentageBody)
    rollout = await parts.rollouts.set_percentage(
        ask.who, ask.path["agent"], ask.path["id"], body.percentage, body.why, role=ask.caller.role
    )
    return Answer(rollout_document(rollout))


def _plan_of(body: RolloutBody) -> Plan:
    """Raises BadInput(`bad_plan`, `bad_percentage`)."""
    if body.percentage is None:
        plan = read_plan(body.plan or {})
        return replace(plan, eligible=body.eligible) if body.eligible else plan
    if body.plan is not None:
        raise BadInput("bad_plan", "name a plan or a fixed percentage, not both", param="percentage")
    buckets_for(body.percentage)
    return fixed_share(body.percentage, body.eligible)


async def find_rollout(parts: AdminParts, state: AgentState, rollout_id: str) -> Rollout | None:
    """One that runs, or one that ended."""
    active = (rollout for rollout in state.rollouts.values() if rollout.id == rollout_id)
    return next(active, None) or await parts.store.rollout(state.agent.name, rollout_id)
