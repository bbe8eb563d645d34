"""The table of `hostile_requests.py` over real sockets.

Where the connection is to stay usable a last request proves it: it must arrive as sent. Where it is not, the server closes
and nothing of the request is in the fixed answer.
"""

import json

import pytest

from tests.http1.hostile_requests import CANARY, LAST, SEEN_LAST, TABLE, TARGETS_THAT_PASS_AS_SENT, get
from tests.http1.raw import serving, within

pytestmark = pytest.mark.usefixtures("nothing_leaks")


async def run(row, served, pieces):
    client = await served.connect()
    usable = row.statuses[-1] == 200
    for piece in pieces:
        client.send(piece)
        await client.writer.drain()
    if usable:
        client.send(LAST)
    answers = [await client.answer() for _ in row.statuses]
    if usable:
        answers.append(await client.answer())
    assert await client.rest() == b""
    await client.close()
    return answers


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_hostile_request(row):
    async with serving() as served:
        answers = await run(row, served, [row.sent])
        usable = row.statuses[-1] == 200
        assert tuple(status for status, _, _ in answers) == row.statuses + ((200,) if usable else ())
        assert [body for _, _, body in served.calls] == [*row.bodies, *([b""] if usable else [])]
        if usable:
            assert served.calls[-1] == SEEN_LAST
        else:
            _, headers, body = answers[-1]
            assert headers[b"content-type"] == b"application/json"
            assert headers[b"connection"] == b"close"
            assert set(json.loads(body)["error"]) == {"message", "type", "code"}
            assert CANARY not in body
        assert served.errors == []


@pytest.mark.parametrize("target", TARGETS_THAT_PASS_AS_SENT)
async def test_a_path_reaches_the_handler_exactly_as_sent(target):
    async with serving() as served:
        client = await served.connect()
        client.send(get(target))
        assert (await client.answer())[0] == 200
        assert served.calls == [("GET", target, b"")]
        await within(client.close())
