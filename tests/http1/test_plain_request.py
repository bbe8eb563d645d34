"""Plain requests are read without the parser, and never otherwise than the parser reads them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1 import plain_request
from proxy.http1.body_budget import BodyBudget
from proxy.http1.limits import ListenerLimits
from proxy.http1.message import learn_name
from proxy.http1.plain_request import read_plain
from proxy.http1.request_head import RequestRefused
from proxy.http1.request_parser import RequestParser
from tests.http1.hostile_requests import TABLE

LIMITS = ListenerLimits()
#: What an SDK sends, with a body of 2 bytes.
FIRST = b"POST /a/support/v1/chat/completions?beta=true HTTP/1.1"
LINES = (
    b"Host: 127.0.0.1:8080",
    b"Accept-Encoding: gzip, deflate",
    b"Connection: keep-alive",
    b"Accept: application/json",
    b"User-Agent: OpenAI/Python 2.0.0",
    b"X-Stainless-Retry-Count: 0",
    b"Authorization: Bearer sk-secret",
    b"Switchback-User: user-1",
    b"Content-Length: 2",
)
BODY = b"{}"


def request(first=FIRST, lines=LINES, body=BODY):
    return b"\r\n".join((first, *lines, b"", body))


class SeenRequests:
    def __init__(self):
        self.seen = []

    def request_ready(self, call, *, http10, keep_alive):
        self.seen.append((call, http10, keep_alive))

    def continue_wanted(self):
        self.seen.append("continue")


def parsed(data, limits=LIMITS):
    """All that llhttp makes of these bytes, and of a further request behind them."""
    sink = SeenRequests()
    parser = RequestParser(sink, limits, lambda: 0.0, BodyBudget(1 << 30))
    try:
        parser.feed(data)
        parser.feed(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    except RequestRefused as refused:
        sink.seen.append(refused.status)
    parser.close()
    return sink.seen


def assert_read_alike(data, limits=LIMITS):
    """Where it is read without the parser, the parser reads the same one call, and whole. Whether it was read."""
    call = read_plain(data, limits, 0.0)
    if call is None:
        return False
    seen = parsed(data, limits)
    assert len(seen) == 2, (data, seen)
    assert seen[0] == (call, False, True)
    assert seen[1][0].target == b"/next"
    return True


@pytest.fixture(autouse=True, scope="module")
def names_that_were_met():
    for line in (*LINES, b"Transfer-Encoding:", b"Expect:", b"Upgrade:", b"Proxy-Connection:", b"TE:"):
        learn_name(line.partition(b":")[0])


def test_what_an_sdk_sends_is_read_without_the_parser():
    assert assert_read_alike(request())
    assert assert_read_alike(request())
    assert assert_read_alike(request(b"GET /v1/models HTTP/1.1", LINES[:-1], b""))
    assert assert_read_alike(request(lines=(*LINES[:-1], b"Content-Length: 70000"), body=b"x" * 70_000))


@pytest.mark.parametrize(
    "data",
    [
        request(body=b"{"),
        request(body=b"{}G"),
        request() * 2,
        request()[:50],
        request(b"POST / HTTP/1.0"),
        request(b"POST  / HTTP/1.1"),
        request(b"POST /a#b HTTP/1.1"),
        request(b"POST /\xc3\xa4 HTTP/1.1"),
        request(b"BREW / HTTP/1.1"),
        request(lines=LINES[1:]),
        request(lines=(b"Host: a b", *LINES[1:])),
        request(lines=(*LINES, LINES[0])),
        request(lines=(*LINES, LINES[-1])),
        request(lines=(*LINES[:-1], b"Content-Length: +2")),
        request(lines=(*LINES[:-1], b"Content-Length: 2, 2")),
        request(lines=(*LINES[:-1], b"Content-Length:2")),
        request(lines=(*LINES, b"Transfer-Encoding: chunked")),
        request(lines=(*LINES, b"Expect: 100-continue")),
        request(lines=(*LINES, b"Upgrade: websocket")),
        request(lines=(*LINES[:2], b"Connection: close", *LINES[3:])),
        request(lines=(*LINES, b"Proxy-Connection: close")),
        request(lines=(*LINES, b"X-Never-Met: 1")),
        request(lines=(*LINES, b"Accept: a\tb")),
        request(lines=(*LINES[:3], b"Accept: \xff", *LINES[4:])),
        request(lines=(*LINES[:3], b"Accept: a\nb: c", *LINES[4:])),
        request(lines=(*LINES[:3], b"Accept: a\r\n b", *LINES[4:])),
    ],
)
def test_whatever_is_not_plain_is_left_to_the_parser(data):
    assert read_plain(data, LIMITS, 0.0) is None


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_hostile_requests_are_read_alike(row):
    assert_read_alike(row.sent)


@pytest.mark.parametrize("limit", ["header_bytes", "header_count", "body_bytes"])
def test_what_is_above_a_limit_is_left_to_the_parser(limit):
    data = request()
    assert assert_read_alike(data, ListenerLimits(**{limit: 500 if limit == "header_bytes" else 9}))
    assert read_plain(data, ListenerLimits(**{limit: 1}), 0.0) is None


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=12), st.sampled_from([b"", BODY, b"{}{}"]))
def test_any_lines_in_any_order_are_read_alike(lines, body):
    assert_read_alike(request(lines=lines, body=body))


@settings(max_examples=400, deadline=None)
@given(
    st.binary(min_size=1, max_size=40), st.sampled_from([b"Accept: %b", b"Host: %b", b"%b: 1", b"Content-Length: %b"])
)
def test_any_line_among_the_others_is_read_alike(value, line):
    assert_read_alike(request(lines=(*LINES[:3], line % value, *LINES[4:])))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=[chr(code) for code in range(0x7F)], max_size=30))
def test_any_target_is_read_alike(target):
    assert_read_alike(request(b"POST /%b HTTP/1.1" % target.encode()))


def test_requests_with_bytes_changed_anywhere_are_read_alike():
    pick = random.Random(20)
    read = 0
    for _ in range(20_000):
        data = bytearray(request())
        for _ in range(pick.choice((1, 1, 2, 3))):
            at = pick.randrange(len(data))
            match pick.randrange(4):
                case 0:
                    data[at] = pick.randrange(256)
                case 1:
                    data.insert(at, pick.choice(b"\r\n\t :,;\x00\x7f\xffA1"))
                case 2:
                    del data[at]
                case _:
                    data[at] = pick.choice(b"\r\n\t :aA1")
        read += assert_read_alike(bytes(data))
    assert read > 2_000


def test_credentials_are_not_remembered_and_what_is_remembered_is_bounded():
    for number in range(10_000):
        line = b"Switchback-User: someone-%d" % number
        assert read_plain(request(lines=(*LINES[:7], line, LINES[8])), LIMITS, 0.0) is not None
        assert read_plain(request(b"POST /%d HTTP/1.1" % number), LIMITS, 0.0) is not None
    assert len(plain_request._fields) <= plain_request._LINES_KEPT
    assert len(plain_request._first_lines) <= plain_request._LINES_KEPT
    assert not any(b"sk-secret" in line for line in plain_request._fields)
