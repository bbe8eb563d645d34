"""Handlers: tokens of the admin API. A token's text is in one answer only, the one that made it."""

from proxy.core.tokens import token_document
from proxy.edges.admin.bodies import ReasonBody, TokenBody
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask
from proxy.edges.admin.queries import PageQuery, ReasonQuery


async def list_tokens(parts: AdminParts, ask: Ask) -> Answer:
    query = ask.query_as(PageQuery)
    return page_answer(await parts.store.tokens(query.cursor, query.limit), token_document)


async def create_token(parts: AdminParts, ask: Ask) -> Answer:
    body = ask.body_as(TokenBody)
    token, text = await parts.tokens.create_token(ask.who, body.name, body.role, body.why)
    return Answer({**token_document(token), "token": text}, 201)


async def revoke_token(parts: AdminParts, ask: Ask) -> Answer:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    return Answer(token_document(await parts.tokens.revoke_token(ask.who, ask.path["id"], why)))
