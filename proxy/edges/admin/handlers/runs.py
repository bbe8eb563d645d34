"""Handlers: runs with their attempts and outcomes, their export, and their quarantine."""

import asyncio
from collections.abc import AsyncGenerator

from proxy.core.calls.outcomes import outcome_document
from proxy.core.calls.run_filter import RunFilter, filter_document
from proxy.core.calls.runs import attempt_document, run_document
from proxy.core.errors import BadInput
from proxy.core.nearest import nearest_of
from proxy.core.releasing.arms import is_arm_name
from proxy.core.releasing.releases import CANDIDATE, STABLE
from proxy.core.times import parse_period
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.runs import JudgedRun, Quarantined, RunShown
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Streamed
from proxy.edges.admin.bodies import QuarantineBody
from proxy.edges.admin.handlers.outcomes import judged_run_document
from proxy.edges.admin.handlers.run_export import RUN_FORMATS, RunFormat
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import RunsExportQuery, RunsFilterQuery, RunsQuery
from proxy.edges.admin.streaming import COUNT_HEADER
from proxy.runtime.releasing.run_commands import RunCommands
from proxy.runtime.reports.runs import RunReader


async def list_runs(runs: RunReader, ask: Ask) -> AdminAnswer[Listed[JudgedRun]]:
    query = ask.query_as(RunsQuery)
    page, outcomes = await runs.page(_filter(query), query.cursor, query.limit)
    return page_answer(page, lambda run: judged_run_document(run, outcomes))


async def get_run(runs: RunReader, ask: Ask) -> AdminAnswer[RunShown]:
    found = await runs.run(ask.path["id"])
    return AdminAnswer(
        {
            **run_document(found.run),
            "attempts": [attempt_document(attempt) for attempt in found.attempts],
            "outcome_count": len(found.outcomes),
            "outcomes": [outcome_document(outcome) for outcome in found.outcomes],
        }
    )


async def export_runs(runs: RunReader, ask: Ask) -> Streamed[JudgedRun]:
    """Newest first, as a list would show them; a batch is read when the client took the one before."""
    query = ask.query_as(RunsExportQuery)
    wanted, form = _filter(query), RUN_FORMATS[query.format]
    headers = {
        COUNT_HEADER: str(await runs.count(wanted)),
        "Content-Disposition": f'attachment; filename="runs.{query.format}"',
    }
    return Streamed(_batches(runs, wanted, form), form.content_type, headers)


async def _batches(runs: RunReader, wanted: RunFilter, form: RunFormat) -> AsyncGenerator[bytes]:
    head = form.head
    async for batch, outcomes in runs.batches(wanted):
        # On another thread, so that calls in flight do not wait for a batch to be written out.
        yield head + await asyncio.to_thread(form.render, batch, outcomes)
        head = b""


async def quarantine_runs(runs: RunCommands, ask: Ask) -> AdminAnswer[Quarantined]:
    body = ask.body_as(QuarantineBody)
    wanted = _filter(body)
    if not body.runs:
        changed, applied = await runs.quarantine_matching(ask.who, wanted, body.why, undo=body.undo)
        return AdminAnswer({"changed": changed, "quarantined": not body.undo, "filter": filter_document(applied)})
    if wanted == RunFilter():
        changed = await runs.quarantine_runs(ask.who, body.runs, body.why, undo=body.undo)
        return AdminAnswer({"changed": changed, "quarantined": not body.undo, "runs": body.runs})
    raise BadInput("bad_filter", "name runs by `runs` or by filters, not by both", param="runs")


def _check_arm(asked: RunsFilterQuery | QuarantineBody) -> None:
    """Raises BadInput(`bad_filter`). Names of their own are those of an agent's arms."""
    if asked.arm is None or asked.arm in (STABLE, CANDIDATE) or (asked.agent is not None and is_arm_name(asked.arm)):
        return
    near = nearest_of(asked.arm, (STABLE, CANDIDATE))
    others = "" if near else "; of an arm with another name say the agent too"
    raise BadInput("bad_filter", f"arm must be {STABLE} or {CANDIDATE}{near}{others}", param="arm")


def _filter(asked: RunsFilterQuery | QuarantineBody) -> RunFilter:
    """Raises BadInput: `bad_time`, and `bad_filter` where a number would mean the runs of any agent that came so far."""
    numbered = {"version": asked.version, "release": asked.release, "rollout": asked.rollout}
    named = next((name for name, value in numbered.items() if value is not None), None)
    if asked.agent is None and named is not None:
        raise BadInput("bad_filter", f"{named}s are numbered per agent: say the agent too", param=named)
    _check_arm(asked)
    start, end = parse_period(asked.from_, asked.to)
    return RunFilter(
        agent=asked.agent,
        version=asked.version,
        release=asked.release,
        rollout=asked.rollout,
        arm=asked.arm,
        user=asked.user,
        conversation=asked.conversation,
        request_id=asked.request_id,
        trace_id=asked.trace_id,
        result=asked.result,
        quarantined=asked.quarantined if isinstance(asked, RunsFilterQuery) else None,
        from_microseconds=start,
        to_microseconds=end,
    )
