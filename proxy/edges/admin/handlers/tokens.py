"""Handlers: tokens of the admin API. A token's text is in one answer only, the one that made it."""

from proxy.core.tokens import TokenDocument, token_document
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.tokens import TokenMade
from proxy.edges.admin.bodies import ReasonBody, TokenBody
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.parts import AdminParts, Answer, Ask, Created
from proxy.edges.admin.queries import PageQuery, ReasonQuery


async def list_tokens(parts: AdminParts, ask: Ask) -> Answer[Listed[TokenDocument]]:
    query = ask.query_as(PageQuery)
    return page_answer(await parts.store.tokens(query.cursor, query.limit), token_document)


async def create_token(parts: AdminParts, ask: Ask) -> Created[TokenMade]:
    body = ask.body_as(TokenBody)
    token, text = await parts.tokens.create_token(ask.who, body.name, body.role, body.why)
    return Created({**token_document(token), "token": text})


async def revoke_token(parts: AdminParts, ask: Ask) -> Answer[TokenDocument]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    return Answer(token_document(await parts.tokens.revoke_token(ask.who, ask.path["id"], why)))
