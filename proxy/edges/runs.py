"""Handlers: runs and their attempts."""

from proxy.core.documents import attempt_document, run_document
from proxy.core.errors import NotFound
from proxy.core.times import parse_rfc3339
from proxy.edges.pages import page_answer
from proxy.edges.parts import AdminParts, Answer, Ask
from proxy.edges.queries import RunsQuery
from proxy.store.store import RunFilter


async def list_runs(parts: AdminParts, ask: Ask) -> Answer:
    query = ask.query_as(RunsQuery)
    wanted = RunFilter(
        agent=query.agent,
        version=query.version,
        release=query.release,
        rollout=query.rollout,
        arm=query.arm,
        user=query.user,
        conversation=query.conversation,
        outcome=query.outcome,
        from_microseconds=None if query.from_ is None else parse_rfc3339(query.from_, "from"),
        to_microseconds=None if query.to is None else parse_rfc3339(query.to, "to"),
    )
    return page_answer(await parts.store.runs(wanted, query.cursor, query.limit), run_document)


async def get_run(parts: AdminParts, ask: Ask) -> Answer:
    run = await parts.store.run(ask.path["id"])
    if run is None:
        raise NotFound("run_not_found", f"there is no run {ask.path['id']!r}", param="run")
    attempts = await parts.store.attempts(run.id)
    return Answer({**run_document(run), "attempts": [attempt_document(attempt) for attempt in attempts]})
