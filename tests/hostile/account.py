"""Says a table of cases through one deployment each and keeps, per case, what all sides saw of it.

Three counts are compared, none made from another: calls the conductor was given, runs that were recorded, requests the
provider received. A case leaves when nothing of it is under way any more and a call on a new connection was served.
"""

import asyncio
import gzip
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from proxy.http1.message import HttpCall
from proxy.simulator.recording import Call as Received
from tests.harness import eventually
from tests.hostile.case import HELLO, Case, chat, injected
from tests.hostile.conversation import Step, Talk, converse
from tests.hostile.stage import Stage

#: Refused by the proxy without asking anybody, and closes: proves that a connection is still usable.
LAST = b"GET /last// HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_PROBE_BODY = HELLO.replace(b"hi", b"probe")
_PROBE = chat(b"Connection: close", body=_PROBE_BODY)
_PROBE_SEEN = injected(_PROBE_BODY)
#: Statuses that mean the proxy itself failed or could not reach its provider.
OUR_FAULT = frozenset({500, 502, 503, 504})
_LOG_SECONDS = 2
#: Between the client and the proxy alone, or claims the provider must not see.
_NOT_SENT_ON = re.compile(
    r"switchback-|x-forwarded-|connection\Z|keep-alive|te\Z|trailer|transfer-encoding|upgrade|expect|cookie|forwarded|via\Z|proxy-"
)


class Front(Protocol):
    """Something that clients say their cases to, and that passes them to the proxy."""

    address: tuple[str, int]

    def forwarded(self) -> int: ...


@dataclass(slots=True)
class Account:
    """What was seen of one case."""

    talk: Talk
    received: list[Received]
    probe_status: int
    probe_is_intact: bool
    """The call after the case reached the provider once, as it was said."""
    heard: list[int]
    sent_on: int | None
    """How many requests the front passed to the proxy, by its own account."""
    calls: list[HttpCall] = field(default_factory=list[HttpCall])
    runs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """One for each call."""

    @property
    def bodies_sent(self) -> list[bytes]:
        """What the provider must have got, by our record: a body for every run that was not refused."""
        return [
            _sent_body(call, run) for call, run in zip(self.calls, self.runs, strict=True) if run["result"] != "refused"
        ]


async def accounts_of(stage: Stage, cases: Sequence[Case], front: tuple[str, int] | None = None) -> dict[str, Account]:
    """Say the cases one after the other, to the proxy itself or to the `front` before it."""
    accounts: dict[str, Account] = {}
    for case in cases:
        accounts[case.name] = await _account(stage, case, front)
    runs = await stage.runs()
    assert len(runs) == len(stage.heard)
    if front is None:  # a front keeps its connections
        await stage.at_rest()
    assert stage.complaints == []
    for account in accounts.values():
        account.runs = [runs[index] for index in account.heard]
        account.calls = [stage.heard[index] for index in account.heard]
    return accounts


async def _account(stage: Stage, case: Case, front: Front | None) -> Account:
    where = stage.address if front is None else front.address
    # A front keeps connections that the proxy itself would close; it is asked to, rather than waited for.
    ends_with_last = case.stays_open or (front is not None and not any(isinstance(step, Step) for step in case.script))
    sent_on_before = 0 if front is None else front.forwarded()
    received_before, heard_before = stage.simulator.record.received, len(stage.heard)
    talk = await converse(where, case.script, LAST if ends_with_last else b"")
    await stage.idle()
    probe = await converse(where, (_PROBE,))
    await stage.idle()
    await eventually(lambda: stage.simulator.record.open_calls == 0)
    news = stage.simulator.record.received - received_before
    received = list(stage.simulator.calls)[-news:] if news else []
    heard = range(heard_before, len(stage.heard))
    if front is not None:
        with suppress(TimeoutError):
            await asyncio.wait_for(eventually(lambda: front.forwarded() - sent_on_before >= len(heard)), _LOG_SECONDS)
    return Account(
        talk=talk,
        received=[call for call in received if call.body != _PROBE_SEEN],
        probe_status=probe.answers[0].status if probe.answers else 0,
        probe_is_intact=[call.body for call in received].count(_PROBE_SEEN) == 1,
        heard=[index for index in heard if stage.heard[index].body != _PROBE_BODY],
        sent_on=None if front is None else front.forwarded() - sent_on_before - 1,
    )


def check_books(case: Case, account: Account) -> None:
    """What must hold however a case came here: no hang, no fault of ours, at the provider exactly what is recorded."""
    assert not account.talk.hung
    assert (account.probe_status, account.probe_is_intact) == (200, True)
    assert not [run for run in account.runs if run["status"] in OUR_FAULT]
    assert not [answer for answer in account.talk.answers if answer.status in OUR_FAULT]
    bodies = [call.body for call in account.received]
    assert bodies == account.bodies_sent or (case.may_vanish and bodies == [])
    if account.sent_on is not None:
        assert len(account.calls) <= account.sent_on


def check_account(case: Case, account: Account) -> None:
    """A case that was said to the proxy directly has exactly its answers, and shows the provider exactly its bodies."""
    check_books(case, account)
    talk = account.talk
    assert talk.rest == b""
    answers = talk.answers
    if case.stays_open:
        last = answers.pop()
        assert (last.status, last.headers[b"connection"]) == (404, b"close")
        assert account.runs.pop()["error_class"] == "path_not_found"
    assert tuple(answer.status for answer in answers) == case.statuses
    assert all(answer.is_complete for answer in answers)
    bodies = tuple(call.body for call in account.received)
    assert bodies == case.bodies or (case.may_vanish and bodies == ())
    for call in account.received:
        assert [name for name in call.headers if _NOT_SENT_ON.match(name.lower())] == []
    for answer in answers:
        if answer.headers.get(b"content-type", b"").startswith(b"application/json") and answer.body:
            orjson.loads(answer.body)
    if case.code:
        assert orjson.loads(answers[-1].body)["error"]["code"] == case.code
        assert (account.runs[-1]["result"], account.runs[-1]["error_class"]) == ("refused", case.code)
    if not case.stays_open and answers and answers[-1].status >= 400:
        # Not a request at all: a fixed error, and nothing of what was said in it.
        assert orjson.loads(answers[-1].body)["error"]["code"]
        assert answers[-1].headers[b"connection"] == b"close"


def _sent_body(call: HttpCall, run: dict[str, Any]) -> bytes:
    if run["model_asked"] is None or run["version"] is None:
        return call.body
    is_zipped = (b"content-encoding", b"gzip") in call.headers
    return injected(gzip.decompress(call.body) if is_zipped else call.body)


async def in_lanes(lanes: Sequence[Any]) -> dict[str, Account]:
    """Several deployments at once, each with its share of the cases."""
    together: dict[str, Account] = {}
    for accounts in await asyncio.gather(*lanes):
        together |= accounts
    return together
