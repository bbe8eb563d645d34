"""Handlers: the process's status, and what a model costs."""

from proxy.core.spending.shown_price import PriceDocument
from proxy.edges.admin.ask_and_answer import Answer, Ask
from proxy.edges.admin.queries import PriceQuery
from proxy.runtime.reports.process import PriceReader, ProcessReader, ProcessStatus


async def get_status(process: ProcessReader, ask: Ask) -> Answer[ProcessStatus]:
    return Answer(await process.status())


async def get_price(prices: PriceReader, ask: Ask) -> Answer[PriceDocument]:
    query = ask.query_as(PriceQuery)
    return Answer(prices.price(query.provider, query.model))
