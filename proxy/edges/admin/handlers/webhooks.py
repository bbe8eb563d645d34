"""Handlers: who is told of changes, and what they have not taken yet. No answer holds a URL or a secret."""

from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask
from proxy.edges.admin.pages import page_of_named
from proxy.edges.admin.queries import DeliveriesQuery, PageQuery
from proxy.runtime.webhooks.endpoints import DeliveryDocument, EndpointDocument, delivery_document
from proxy.runtime.webhooks.webhooks import Webhooks


async def list_webhooks(webhooks: Webhooks, ask: Ask) -> AdminAnswer[Listed[EndpointDocument]]:
    return page_of_named(webhooks.endpoints, ask.query_as(PageQuery), webhooks.document)


async def list_deliveries(webhooks: Webhooks, ask: Ask) -> AdminAnswer[Listed[DeliveryDocument]]:
    query = ask.query_as(DeliveriesQuery)
    wanted = {
        name: delivery
        for name, delivery in webhooks.outbox.deliveries.items()
        if query.endpoint in (None, delivery.endpoint) and query.state in (None, delivery.state)
    }
    return page_of_named(wanted, query, delivery_document)


async def resend_delivery(webhooks: Webhooks, ask: Ask) -> AdminAnswer[DeliveryDocument]:
    return AdminAnswer(delivery_document(webhooks.resend(ask.path["id"])))
