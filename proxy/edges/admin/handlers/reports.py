"""Handlers: what an agent's runs come to, by version and arm, of a rollout, of a label; and two versions beside each other."""

from proxy.core.errors import NotFound
from proxy.core.reports.reporting import ComparisonDocument, ReportDocument
from proxy.core.times import parse_rfc3339
from proxy.edges.admin.answers.reports import ReportShown
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask
from proxy.edges.admin.queries import ComparisonQuery, LabelReportQuery, ReportQuery, RolloutReportQuery
from proxy.runtime.reports.agents import AgentReader
from proxy.runtime.reports.releases import ReleaseReader
from proxy.runtime.reports.run_reports import RunReports


async def report_versions(agents: AgentReader, reports: RunReports, ask: Ask) -> AdminAnswer[ReportShown]:
    query = ask.query_as(ReportQuery)
    await agents.known(query.agent)
    return _shown(reports, await reports.report(query.agent, reports.window(*_times(query))))


async def report_label(agents: AgentReader, reports: RunReports, ask: Ask) -> AdminAnswer[ReportShown]:
    """Also of a label that is gone, of which there are runs."""
    query = ask.query_as(LabelReportQuery)
    await agents.known(query.agent)
    return _shown(reports, await reports.report(query.agent, reports.window(*_times(query)), label=query.label))


async def report_rollout(
    agents: AgentReader, releases: ReleaseReader, reports: RunReports, ask: Ask
) -> AdminAnswer[ReportShown]:
    """From its beginning, where the query does not say since when."""
    query = ask.query_as(RolloutReportQuery)
    rollout = await releases.rollout(await agents.known(query.agent), query.rollout)
    since, until = _times(query)
    # Until now, and not until its end: conversations keep their arm for a while.
    window = reports.window(rollout.created_at_microseconds if since is None else since, until)
    return _shown(reports, await reports.report(query.agent, window, rollout=rollout.id))


async def compare_versions(agents: AgentReader, reports: RunReports, ask: Ask) -> AdminAnswer[ComparisonDocument]:
    query = ask.query_as(ComparisonQuery)
    state = await agents.known(query.agent)
    for number in (query.candidate, query.stable):
        if not 1 <= number <= state.agent.newest:
            raise NotFound("version_not_found", f"agent {query.agent!r} has no version {number}", param="version")
    window = reports.window(*_times(query))
    return AdminAnswer(await reports.comparison(query.agent, window, query.candidate, query.stable))


def _shown(reports: RunReports, report: ReportDocument) -> AdminAnswer[ReportShown]:
    return AdminAnswer({**report, "last_drill": reports.last_drill(report["agent"])})


def _times(query: ReportQuery) -> tuple[int | None, int | None]:
    since = None if query.since is None else parse_rfc3339(query.since, "since")
    return since, None if query.until is None else parse_rfc3339(query.until, "until")
