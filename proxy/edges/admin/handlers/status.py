"""Handlers: the process's status, and what a model costs."""

from proxy.core.spending.shown_price import PriceDocument
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask
from proxy.edges.admin.queries import PriceQuery
from proxy.runtime.reports.process import PriceReader, ProcessReader, ProcessStatus


async def get_status(process: ProcessReader, ask: Ask) -> AdminAnswer[ProcessStatus]:
    return AdminAnswer(await process.status())


async def get_price(prices: PriceReader, ask: Ask) -> AdminAnswer[PriceDocument]:
    query = ask.query_as(PriceQuery)
    return AdminAnswer(prices.price(query.provider, query.model))
