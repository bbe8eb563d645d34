"""Handlers: labels, rollback, rollbacks that are rehearsed, and the release ledger."""

from proxy.core.releasing.proposals import Proposal
from proxy.core.releasing.releases import ReleaseDocument, release_document
from proxy.core.rollouts.drills import DrillDocument
from proxy.core.snapshot import LabelDocument, label_document
from proxy.edges.admin.answers.labels import LabelDeleted, LabelMoved, LabelStanding, ProposalShown, RolledBack
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import Accepted, AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import DrillBody, LabelBody, ReasonBody, RollbackBody, evidence_of
from proxy.edges.admin.handlers.proposals import noticed, shown_proposal
from proxy.edges.admin.pages import page_answer, page_of_named
from proxy.edges.admin.queries import PageQuery, ReasonQuery, ReleasesQuery
from proxy.runtime.releasing.release_commands import Moved, ReleaseCommands
from proxy.runtime.reports.agents import AgentReader
from proxy.runtime.reports.releases import ProposalReader, ReleaseReader
from proxy.runtime.rollouts.drills import Drills
from proxy.runtime.state.journal import Journal, JournalNote


async def list_labels(agents: AgentReader, ask: Ask) -> AdminAnswer[Listed[LabelDocument]]:
    state = await agents.known(ask.path["agent"])
    return page_of_named(
        state.labels, ask.query_as(PageQuery), lambda label: label_document(label, state.rollouts.get(label.name))
    )


async def move_label(
    releases: ReleaseCommands, proposals: ProposalReader, ask: Ask
) -> AdminAnswer[LabelMoved] | Accepted[ProposalShown]:
    body = ask.body_as(LabelBody)
    notices: list[str] = []
    moved = await releases.move_label(
        ask.who,
        ask.path["agent"],
        ask.path["label"],
        body.version,
        body.why,
        role=ask.caller.role,
        if_release=body.if_release,
        evidence=evidence_of(body.evidence),
        force=body.force,
        notices=notices,
    )
    if isinstance(moved, Proposal):
        return Accepted(await shown_proposal(proposals, moved, notices))
    return AdminAnswer({**_moved(moved), "rollout": None, **noticed(notices)})


async def delete_label(releases: ReleaseCommands, ask: Ask) -> AdminAnswer[LabelDeleted]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    await releases.delete_label(ask.who, ask.path["agent"], ask.path["label"], why)
    return AdminAnswer({"label": ask.path["label"], "removed": True})


async def rollback(releases: ReleaseCommands, journal: Journal, ask: Ask) -> AdminAnswer[RolledBack]:
    body = ask.body_as(RollbackBody)
    moved = await releases.rollback(ask.who, ask.path["agent"], body.label, body.why, undoes=body.undoes, to=body.to)
    subject = f"agents/{ask.path['agent']}/labels/{moved.label}"
    kept: JournalNote = journal.note(subject) if moved.changed else {}
    return AdminAnswer({**_moved(moved), "undoes": None if moved.row is None else moved.row.undoes, **kept})


async def list_releases(agents: AgentReader, releases: ReleaseReader, ask: Ask) -> AdminAnswer[Listed[ReleaseDocument]]:
    query = ask.query_as(ReleasesQuery)
    state = await agents.known(ask.path["agent"])
    page = await releases.page(state, query.label, query.cursor, query.limit)
    return page_answer(page, release_document)


def _moved(moved: Moved) -> LabelStanding:
    return {
        "changed": moved.changed,
        "label": moved.label,
        "version": moved.version,
        "release": moved.release,
        "reason": moved.reason,
    }


async def hold_drill(drills: Drills, ask: Ask) -> Created[DrillDocument]:
    body = ask.body_as(DrillBody)
    return Created(await drills.hold(ask.who, ask.path["agent"], body.label, body.why))


async def list_drills(agents: AgentReader, drills: Drills, ask: Ask) -> AdminAnswer[Listed[DrillDocument]]:
    query = ask.query_as(PageQuery)
    state = await agents.known(ask.path["agent"])
    page = await drills.book.page(state.agent.name, query.cursor, query.limit)
    return AdminAnswer({"items": list(page.items), "next": page.next_cursor})
