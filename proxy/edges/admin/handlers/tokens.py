"""Handlers: tokens of the admin API. A token's text is in one answer only, the one that made it."""

from proxy.core.times import parse_rfc3339, rfc3339
from proxy.core.tokens import Token, TokenDocument, token_document
from proxy.edges.admin.answers.lists import Listed
from proxy.edges.admin.answers.tokens import TokenListed, TokenMade
from proxy.edges.admin.ask_and_answer import AdminAnswer, Ask, Created
from proxy.edges.admin.bodies import ReasonBody, TokenBody
from proxy.edges.admin.pages import page_answer
from proxy.edges.admin.queries import PageQuery, ReasonQuery
from proxy.runtime.releasing.token_commands import TokenCommands
from proxy.runtime.reports.tokens import TokenReader


async def list_tokens(tokens: TokenReader, ask: Ask) -> AdminAnswer[Listed[TokenListed]]:
    query = ask.query_as(PageQuery)
    page, uses = await tokens.page(query.cursor, query.limit)

    def listed(token: Token) -> TokenListed:
        used = uses.get(token.id)
        return {**token_document(token), "last_used_at": None if used is None else rfc3339(used)}

    return page_answer(page, listed)


async def create_token(tokens: TokenCommands, ask: Ask) -> Created[TokenMade]:
    body = ask.body_as(TokenBody)
    expires = None if body.expires is None else parse_rfc3339(body.expires, "expires")
    token, text = await tokens.create_token(ask.who, body.name, body.role, body.why, expires)
    return Created({**token_document(token), "token": text})


async def revoke_token(tokens: TokenCommands, ask: Ask) -> AdminAnswer[TokenDocument]:
    why = ask.body_as(ReasonBody).why or ask.query_as(ReasonQuery).why
    return AdminAnswer(token_document(await tokens.revoke_token(ask.who, ask.path["id"], why)))
