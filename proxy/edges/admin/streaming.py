"""Sends an answer of any length in bounded memory: the next chunk is made when the client took the one before.

The first chunk is made before the head is sent, so that a refusal is still a problem document. What fails later breaks the
connection before the end of the chunked body: a client sees that it did not get everything.
"""

from typing import Any

from aiohttp import hdrs, web

from proxy.edges.admin.ask_and_answer import Streamed

#: How many items, or bytes of a file, the whole answer has, where that is known before it begins.
COUNT_HEADER = "Switchback-Count"
#: The audit log's head in a copy of the store, as `NUMBER:HASH`.
AUDIT_HEAD_HEADER = "Switchback-Audit-Head"


async def send_stream(request: web.Request, answer: Streamed[Any]) -> web.StreamResponse:
    """Send all of `answer`. Raises what making the first chunk raises."""
    try:
        return await _send(request, answer)
    finally:
        await answer.chunks.aclose()


async def _send(request: web.Request, answer: Streamed[Any]) -> web.StreamResponse:
    chunk: bytes | None = await anext(answer.chunks, None)
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: answer.content_type, **answer.headers})
    try:
        await response.prepare(request)
        # After the head of an answer to HEAD, any byte would begin the next answer.
        while chunk is not None and request.method != hdrs.METH_HEAD:
            # An empty chunk would be the end of a chunked body.
            if chunk:
                await response.write(chunk)
            chunk = await anext(answer.chunks, None)
        await response.write_eof()
    except BaseException as error:
        if request.transport is not None:
            request.transport.abort()
        # The client went away: nobody is left to tell.
        if not isinstance(error, ConnectionError):
            raise
    return response
