"""Handlers: facts about runs that are told later, one by one or many at once, and the list of them."""

from collections.abc import Mapping
from typing import Final

from proxy.core.calls.outcomes import (
    OutcomeDocument,
    OutcomesOfRun,
    ServedOutcomeDocument,
    outcome_document,
    served_outcome_document,
)
from proxy.core.calls.run_filter import RUN_NAMINGS, OutcomeFilter, RunName, RunNaming
from proxy.core.calls.runs import Run, run_document
from proxy.core.errors import BadInput
from proxy.core.times import parse_period
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.runs import JudgedRun, OutcomesRecorded
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import OutcomeBody, OutcomesBody, RunOutcomeBody
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import OutcomesQuery
from proxy.runtime.releasing.run_commands import OutcomeDraft, RunCommands, outcome_ids_around
from proxy.runtime.reports.runs import RunReader

_NONE: Final = OutcomesOfRun((), 0)


async def list_outcomes(runs: RunReader, ask: Ask) -> AdminAnswer[Listed[ServedOutcomeDocument]]:
    query = ask.query_as(OutcomesQuery)
    if query.agent is None and query.version is not None:
        raise BadInput("bad_filter", "versions are numbered per agent: say the agent too", param="version")
    start, end = parse_period(query.from_, query.to)
    first_id, before_id = outcome_ids_around(start, end)
    wanted = OutcomeFilter(
        run=query.run,
        request_id=query.request_id,
        trace_id=query.trace_id,
        name=query.name,
        agent=query.agent,
        version=query.version,
        label=query.label,
        from_microseconds=start,
        to_microseconds=end,
        first_id=first_id,
        before_id=before_id,
    )
    return page_answer(await runs.outcomes(wanted, query.cursor, query.limit), served_outcome_document)


async def record_outcome(runs: RunCommands, ask: Ask) -> Created[OutcomeDocument]:
    draft = _draft(ask.body_as(OutcomeBody), ask.path["id"])
    return Created(outcome_document(await runs.record_outcome(ask.who, draft)))


async def record_outcomes(runs: RunCommands, ask: Ask) -> Created[OutcomesRecorded]:
    body = ask.body_as(OutcomesBody)
    drafts = [_draft(one, _run_of(one, f"outcomes[{index}]"), body.why) for index, one in enumerate(body.outcomes)]
    recorded = await runs.record_outcomes(ask.who, drafts)
    return Created(
        {
            "items": [outcome_document(outcome) for outcome in recorded.outcomes],
            "unknown_runs": list(recorded.unknown_runs),
        }
    )


def judged_run_document(run: Run, outcomes: Mapping[str, OutcomesOfRun]) -> JudgedRun:
    """A run with what was told of it: `outcomes` are the newest, `outcome_count` how many there are."""
    told = outcomes.get(run.id, _NONE)
    return {
        **run_document(run),
        "outcome_count": told.count,
        "outcomes": [outcome_document(outcome) for outcome in told.newest],
    }


def _run_of(body: RunOutcomeBody, at: str) -> str | RunName:
    """Raises BadInput(`bad_outcome`)."""
    given: dict[RunNaming, str] = {by: value for by in RUN_NAMINGS if (value := getattr(body, by)) is not None}
    if len(given) != 1:
        raise BadInput("bad_outcome", f"{at} must name its run by one of {', '.join(RUN_NAMINGS)}", param=at)
    ((by, value),) = given.items()
    if by != "run":
        return RunName(by, value, body.agent)
    if body.agent is not None:
        raise BadInput(
            "bad_outcome", f"{at}.agent belongs to a request, a trace or a conversation", param=f"{at}.agent"
        )
    return value


def _draft(body: OutcomeBody, run: str | RunName, why: str = "") -> OutcomeDraft:
    return OutcomeDraft(run=run, name=body.name, value=body.value, severity=body.severity, why=body.why or why)
