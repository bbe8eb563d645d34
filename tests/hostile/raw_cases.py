"""One table of hostile requests for the whole proxy: what a client says, what it is answered, what the provider may see.

Data only. The listener's own table (`tests/http1/hostile_requests.py`) is taken over with its targets put on a path that is
forwarded unread, so that its bodies reach the provider; the rest is what only the whole proxy can decide: who is named how
often and how, which paths are one, what becomes of trailers, encodings and bodies. `test_raw.py` says every row directly,
`tests/nginx` through an nginx in front and with an nginx as the provider.
"""

import gzip

from tests.hostile.case import (
    CHAT,
    END,
    FORWARDED,
    HELLO,
    HOST,
    KEY,
    Case,
    chat,
    chunk,
    chunks,
    forwarded,
    injected,
    passes,
    refused,
    rejected,
    request,
    vanishes,
)
from tests.hostile.conversation import Step
from tests.hostile.stage import BODY_LIMIT_BYTES
from tests.http1.hostile_requests import TABLE, Row

# --- The listener's table, forwarded ----------------------------------------------------------------------------------

#: A call counted in the hundreds is the listener's matter.
_MOST_CALLS = 150


def _over(row: Row) -> Case:
    sent = row.sent.replace(b" / HTTP/", b" %b HTTP/" % FORWARDED)
    # Without a key the provider answers 401.
    statuses = tuple(401 if status == 200 else status for status in row.statuses)
    return Case(f"listener: {row.name}", (sent,), statuses, row.bodies, row.statuses[-1] == 200)


def _fits(row: Row) -> bool:
    has_own_target = any(b" / HTTP/" in body for body in row.bodies)
    is_refused_here = b"websocket" in row.sent
    return len(row.statuses) <= _MOST_CALLS and not has_own_target and not is_refused_here


LISTENER = [_over(row) for row in TABLE if _fits(row)]

# --- Who is named, how often, and how ---------------------------------------------------------------------------------

_IDENTITY = (
    b"Authorization", b"X-Api-Key", b"Api-Key", b"X-Goog-Api-Key", b"Switchback-Agent", b"Switchback-Version",
    b"Switchback-Label", b"Switchback-User", b"Switchback-Conversation", b"Switchback-Tags", b"Switchback-Variables",
    b"Switchback-Key",
)  # fmt: skip
_WITHOUT_AGENT = b"/v1/chat/completions"


def named(value: bytes) -> bytes:
    """A call that names its agent in the header."""
    return chat(b"Switchback-Agent: " + value, target=_WITHOUT_AGENT)


IDENTITY = [
    *(
        refused(
            f"{name.decode()} twice", chat(name + b": 1", name + b": 1"), 400, "duplicate_header",
        )
        for name in _IDENTITY
    ),
    *(
        refused(f"{name.decode()} twice in two spellings", chat(name.upper() + b": 1", name.lower() + b": 2"), 400,
                "duplicate_header")
        for name in _IDENTITY if name != b"Authorization"
    ),
    *(
        passes(f"{name.decode()} with an underscore", chat(name.replace(b"-", b"_", 1) + b": nobody"))
        for name in _IDENTITY if b"-" in name
    ),
    passes("an underscore spelling beside the good one", chat(b"Switchback-User: a", b"Switchback_User: b")),
    passes("two different credentials", chat(b"X-Api-Key: b")),
    passes("an agent by header", named(b"support")),
    passes("an agent by header, padded", named(b" \tsupport \t")),
    passes("the same agent twice", chat(b"Switchback-Agent: support")),
    passes("an agent by model", chat(target=_WITHOUT_AGENT, body=HELLO.replace(b'"x"', b'"agent:support"')), None)._replace(
        bodies=(injected(HELLO),)
    ),
    refused("two agents", chat(b"Switchback-Agent: claude"), 400, "agent_conflict"),
    refused("path against model", chat(body=HELLO.replace(b'"x"', b'"agent:claude"')), 400, "agent_conflict"),
    refused("path against member", chat(body=HELLO[:-1] + b',"switchback":{"agent":"claude"}}'), 400, "agent_conflict"),
    refused("two versions", chat(b"Switchback-Version: 2", target=CHAT.replace(b"support", b"support@1")), 400, "agent_conflict"),
    refused("a version and a label", chat(b"Switchback-Version: 1", b"Switchback-Label: prod"), 400, "agent_conflict"),
    refused("a version without an agent", chat(b"Switchback-Version: 1", target=_WITHOUT_AGENT), 400, "bad_agent"),
    refused("an empty agent does not unname the path's", chat(b"Switchback-Agent:", b"Switchback-Agent:"), 400, "duplicate_header"),
    passes("Connection names the agent header", chat(b"Connection: keep-alive, Switchback-Agent, Authorization",
           b"Switchback-Agent: support", target=_WITHOUT_AGENT)),
    refused("Connection names an unknown agent's header", chat(b"Connection: keep-alive, Switchback-Agent",
            b"Switchback-Agent: nobody", target=_WITHOUT_AGENT), 404, "agent_not_found"),
    *(
        refused(f"agent {value.decode()!r}", named(value), 400, "bad_agent")
        for value in (
            b"../support", b"support/../admin", b"%73upport", b"support%00", b"'", b"' OR 1=1 --", b"*", b"Support",
            b"SUPPORT", b"__proto__", b"support ", b"support,claude", b"support;claude", b"sup port", b"s" * 65, b"s" * 300,
            b".", b"..", b"-support", b"@1", b"support@", b"support@@1", b"support@1@1", b"support@-1", b"support@1.0",
            b"support@+1", b"support@0x1", b"support@1234567890", b"support@Prod", b"support@../prod", b"{{support}}",
            "🎫".encode(), "suppört".encode(), "support\u202e".encode(), "ｓupport".encode(), b"\xe2\x80\xaesupport",
        ) if value != b"support "
    ),
    *(
        refused(f"agent {value.decode()!r}", named(value), 404, code)
        for value, code in (
            (b"null", "agent_not_found"), (b"undefined", "agent_not_found"), (b"support.", "agent_not_found"),
            (b"support_", "agent_not_found"), (b"constructor", "agent_not_found"), (b"0", "agent_not_found"),
            (b"support@99", "version_not_found"), (b"support@0", "version_not_found"),
            (b"support@latest", "latest_not_allowed"), (b"support@staging", "label_not_set"),
        )
    ),
    refused("a version that is no number", chat(b"Switchback-Version: 1e0"), 400, "bad_version_number"),
    refused("a user of 513 characters", chat(b"Switchback-User: " + b"u" * 513), 400, "bad_identifier"),
    refused("tags that are none", chat(b"Switchback-Tags: a=b, c"), 400, "bad_tags"),
    refused("variables that are no JSON", chat(b"Switchback-Variables: {'a': 1}"), 400, "bad_variables"),
    refused("a user that is not UTF-8", chat(b"Switchback-User: \xff"), 400, "bad_header"),
    passes("a field of others that is not UTF-8", chat(b"X-Title: caf\xe9")),
    rejected("a user with a line break", chat(b"Switchback-User: a\x0bb")),
    passes("a user in Unicode", chat("Switchback-User: Zoë 🎫".encode())),
]  # fmt: skip

# --- Which paths are one ----------------------------------------------------------------------------------------------

PATHS = [
    *(
        refused(f"path {target.decode('latin-1')}", chat(target=target), 404, "path_not_found")
        for target in (
            b"/", b"//", b"/a/", b"/a//v1/chat/completions", b"/a/support", b"/a/support/", b"/a/support//",
            b"/a/support/v1/", b"/a/support/v1//chat/completions", b"/a/support//v1/chat/completions",
            b"/a/support/v1/chat/completions/", b"/a/support/v1/chat/completions//", b"/a/support/v1/./chat/completions",
            b"/a/support/v1/../v1/chat/completions", b"/a/support/v1/chat/completions/.", b"/a/support/v1/chat/completions/..",
            b"/a/support/../claude/v1/chat/completions", b"/a/../a/support/v1/chat/completions",
            b"/a/support/v2beta/models/gemini-2.5-flash:generateContent", b"/v1/models/gemini-2.5-flash%3AgenerateContent", b"/api/chat",
            b"/v2/chat", b"/openai/deployments/d/chat/completions", b"/model/anthropic.claude%3A0/converse", b"/v1/rerank",
            b"/v1/models/%2e%2e/chat/completions", b"/v1/files/a%2F..%2Fb/content", b"/v1/files/%5c..%5cb/content",
            b"/a/support/v1/%63hat/completions", b"/a/support/v1/chat%2fcompletions", b"/a/support/v1%2Fchat/completions",
            b"/a/support/v1/chat/completions%00", b"/a/support/v1/chat/completions%20", b"/a/support/v1/chat/completions%0d%0a",
            b"/a/support/v1/chat/completions%zz", b"/a/support/v1/chat/completions%", b"/a/support/v1/chat/completions;v=1",
            b"/a/support/v1/%2e%2e/chat/completions", b"/a/support/v1/%252e%252e/admin", b"/a/support/v1/..;/admin",
            b"/a/support/v1/%c0%ae%c0%ae/admin", b"/a/support/v1\\chat\\completions", b"/a/support/v1/..%5cadmin",
            b"//v1/chat/completions", b"//evil.example/v1/chat/completions", b"/v1/../api/v1/agents", b"/v1/%2e%2e/api",
            b"/v1//chat/completions", b"/v1/chat//completions", b"/./v1/chat/completions", b"/%61/support/v1/chat/completions",
            b"/v1/chat/completions*", b"/v1/chat/(completions)", b"/v1/chat/completions|", b"/v1/chat/completions\"",
        )
    ),
    *(
        refused(f"path {target.decode('latin-1')}", chat(target=target), 400, "foreign_key")
        for target in (b"/a/support/v1/chat/completions?key=AIza", b"/a/support/v1/chat/completions?alt=sse&%6bey=AIza")
    ),
    *(
        refused(f"path {target.decode('latin-1')}", chat(target=target), 400, "bad_agent")
        for target in (
            b"/a/%73upport/v1/chat/completions", b"/a/Support/v1/chat/completions", b"/a/support%2f..%2fclaude/v1/chat/completions",
            b"/a/./v1/chat/completions", b"/a/../v1/chat/completions", b"/a/support@/v1/chat/completions",
            b"/a/support;x/v1/chat/completions", b"/a/support%40claude/v1/chat/completions", b"/a/support\\/v1/chat/completions",
        )
    ),
    *(
        rejected(f"target {target!r}", request(KEY, target=target) if b" " in target else chat(target=target))
        for target in (
            b"http://a/a/support/v1/chat/completions", b"http://evil.example/a/support/v1/chat/completions",
            b"https://a/v1/chat/completions", b"http://169.254.169.254/latest/meta-data", b"a/support/v1/chat/completions",
            b"/a/support/v1/chat/completions#", b"/a/support/v1/chat/completions#x", b"/a/support/v1/chat completions",
            b"/a/support/v1/chat/completions\x00", b"/a/support/v1/chat/completions\x7f", b"*", b"a:80",
            "/a/support/v1/．．/admin".encode(), "/a/süpport/v1/chat/completions".encode(),
        )
    ),
    rejected("a path of 9 KB", chat(target=CHAT + b"/" + b"x" * 9000), status=414),
    rejected("a query of 9 KB", chat(target=CHAT + b"?" + b"x" * 9000), status=414),
    passes("a query", chat(target=CHAT + b"?a=b&c")),
    passes("two question marks", chat(target=CHAT + b"?a?b=/../&#38;%zz;".replace(b"#", b"%23"))),
    passes("a query of 7 KB", chat(target=CHAT + b"?" + b"q" * 7000)),
    passes("a path without /v1", chat(target=b"/a/support/chat/completions")),
    passes("a pin in the path", chat(target=CHAT.replace(b"support", b"support@1"))),
    forwarded("a method that is not metered", request(KEY, method=b"GET"), status=405),
    refused("a path in capitals", chat(target=b"/A/support/v1/chat/completions"), 404, "path_not_found"),
    refused("a prefix without an agent is a path", chat(target=b"/a"), 404, "path_not_found"),
    forwarded("a wrong agent prefix is a path", chat(target=b"/agents/support/v1/chat/completions"), body=HELLO),
    refused("an agent in an agent's path", chat(target=b"/a/support/a/claude/v1/chat/completions"), 404, "path_not_found"),
    refused("the admin API is not here", request(KEY, method=b"GET", target=b"/api/v1/agents"), 404, "admin_api_elsewhere"),
    refused("metrics are not here", request(KEY, method=b"GET", target=b"/metrics"), 404, "path_not_found"),
    refused("the provider's control is not in reach", request(KEY, method=b"GET", target=b"/_simulator/calls"), 404, "path_not_found"),
    *(
        refused(f"a WebSocket asked for as {protocol.decode()}", request(KEY, b"Connection: Upgrade", b"Upgrade: " + protocol,
                method=b"GET", target=target), 426, "websocket_not_served")
        for protocol, target in ((b"websocket", b"/v1/responses"), (b"WebSocket", CHAT), (b"h2c, websocket/13", b"/v1/realtime"))
    ),
    forwarded("an upgrade to another protocol", request(KEY, b"Connection: Upgrade", b"Upgrade: h2c", method=b"GET", target=FORWARDED)),
    forwarded("a name with a slash", request(KEY, method=b"GET", target=b"/v1/models/a%2Fb%3A1")),
    refused("a page's preflight is not allowed", request(KEY, b"Origin: http://evil.example",
            b"Access-Control-Request-Method: POST", method=b"OPTIONS"), 403, ""),
    *(
        forwarded(f"{method.decode()} of a file", request(KEY, method=method, target=b"/v1/files/file-1"))
        for method in (b"GET", b"PUT", b"PATCH", b"DELETE", b"HEAD")
    ),
]  # fmt: skip

# --- Framing that could hide a call -----------------------------------------------------------------------------------

_HIDDEN = b"GET /v1/conversations/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
_SECOND = chat(target=b"/a/claude/v1/chat/completions")
_HALF = len(HELLO) // 2

FRAMING = [
    passes("a body in chunks", chunks(pieces=chunk(HELLO) + END)),
    passes("a body byte by byte", chunks(pieces=b"".join(chunk(HELLO[n : n + 1]) for n in range(len(HELLO))) + END)),
    passes("chunks with extensions", chunks(pieces=chunk(HELLO, b';a="b";c') + END)),
    passes("trailers name another agent", chunks(b"Trailer: Switchback-Agent", pieces=chunk(HELLO)
           + b"0\r\nSwitchback-Agent: claude\r\nSwitchback-Version: 99\r\n\r\n")),
    passes("trailers bring another key", chunks(pieces=chunk(HELLO) + b"0\r\nAuthorization: Bearer sk-evil\r\nHost: b\r\n\r\n")),
    rejected("trailers bring a length", chunks(pieces=chunk(HELLO) + b"0\r\nContent-Length: 5\r\n\r\n")),
    rejected("trailers bring an underscore framing", chunks(pieces=chunk(HELLO) + b"0\r\nTransfer-Encoding: x\r\n\r\n")),
    rejected("length and chunked around a hidden call",
             request(KEY, b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + _HIDDEN),
    rejected("chunked and length around a hidden call",
             request(KEY, b"Transfer-Encoding: chunked", b"Content-Length: 60") + b"0\r\n\r\n" + _HIDDEN),
    rejected("an obscured chunked around a hidden call",
             request(KEY, b"Content-Length: 5", b"Transfer-Encoding : chunked") + END + _HIDDEN),
    rejected("an xchunked around a hidden call",
             request(KEY, b"Content-Length: 5", b"Transfer-Encoding: xchunked") + END + _HIDDEN),
    Case("Transfer_Encoding around a call that is none", (request(KEY, b"Content-Length: 5", b"Transfer_Encoding: chunked") + END + _HIDDEN,),
         (400, 401), (b"",)),
    rejected("two lengths around a hidden call",
             request(KEY, b"Content-Length: 0", b"Content-Length: %d" % len(_HIDDEN)) + _HIDDEN),
    rejected("a chunk longer than it says", chunks(pieces=b"5\r\n" + HELLO + b"\r\n" + END)),
    Case("a call in a body that is forwarded unread", (chat(target=FORWARDED, body=_HIDDEN),), (404,), (_HIDDEN,)),
    Case("a call in a chunk that is forwarded unread", (chunks(target=FORWARDED, pieces=chunk(_HIDDEN) + END),), (404,), (_HIDDEN,)),
    Case("a call after a body too short for its length", (request(KEY, b"Content-Length: %d" % (len(HELLO) + len(_HIDDEN)))
         + HELLO + _HIDDEN,), (400,), code="malformed_json"),
    Case("a call after the end of a body", (chat() + _HIDDEN,), (200, 401), (injected(HELLO), b"")),
    passes("a call inside a text", chat(body=HELLO.replace(b"hi", rb"POST / HTTP/1.1\r\nHost: b\r\n\r\n")),
           HELLO.replace(b"hi", rb"POST / HTTP/1.1\r\nHost: b\r\n\r\n")),
    Case("a GET with a body", (request(KEY, b"Content-Length: %d" % len(_HIDDEN), method=b"GET", target=FORWARDED) + _HIDDEN,),
         (404,), (_HIDDEN,)),
    Case("a HEAD with a body", (request(KEY, b"Content-Length: 3", method=b"HEAD", target=FORWARDED) + b"abc",), (404,), (b"abc",)),
    Case("two calls in one read", (chat() + chat(b"Switchback-User: b"),), (200, 200), (injected(HELLO),) * 2),
    Case("a refused call between two", (chat() + chat(target=b"/a/nobody/v1/chat/completions") + chat(),), (200, 404, 200),
         (injected(HELLO),) * 2),
    Case("40 calls in one read", (chat() * 40,), (200,) * 40, (injected(HELLO),) * 40),
    Case("a call behind one that closes", (chat(b"Connection: close") + chat(),), (200,), (injected(HELLO),), stays_open=False),
    Case("a call behind a rejected one", (request(b"X : y", b"Content-Length: 0") + chat(),), (400,), stays_open=False),
    Case("garbage behind a call", (chat() + b"\x16\x03\x01",), (200, 400), (injected(HELLO),), stays_open=False),
    Case("HTTP/1.0 closes", (request(KEY, b"Content-Length: %d" % len(HELLO), version=b"1.0") + HELLO,), (200,),
         (injected(HELLO),), stays_open=False),
    passes("HTTP/1.0 kept alive",
           request(KEY, b"Connection: keep-alive", b"Content-Length: %d" % len(HELLO), version=b"1.0") + HELLO),
    rejected("a body over the limit, by its length", request(KEY, b"Content-Length: %d" % (BODY_LIMIT_BYTES + 1)), status=413),
    rejected("a body over the limit, in chunks", chunks(pieces=chunk(b"x" * 65536) * (BODY_LIMIT_BYTES // 65536 + 1)), status=413),
]  # fmt: skip

# --- What a body says -------------------------------------------------------------------------------------------------


def zipped(body: bytes, *lines: bytes) -> bytes:
    return chat(b"Content-Encoding: gzip", *lines, body=body)


BODIES = [
    *(
        refused(f"body {name}", chat(body=body), 400, code)
        for name, body, code in (
            ("empty", b"", "malformed_json"), ("null", b"null", "body_must_be_object"), ("a list", b"[]", "body_must_be_object"),
            ("a text", b'"x"', "body_must_be_object"), ("cut", HELLO[:-1], "malformed_json"),
            ("twice", HELLO * 2, "malformed_json"), ("with a comment", HELLO + b"//", "malformed_json"),
            ("in single quotes", HELLO.replace(b'"', b"'"), "malformed_json"), ("in UTF-16", HELLO.decode().encode("utf-16"), "malformed_json"),
            ("with a byte order mark", b"\xef\xbb\xbf" + HELLO, "malformed_json"), ("with NaN", HELLO[:-1] + b',"top_p":NaN}', "malformed_json"),
            ("not UTF-8", HELLO.replace(b"hi", b"\xff"), "malformed_json"), ("with a control character", HELLO.replace(b"hi", b"\x01"), "malformed_json"),
            ("with two models", HELLO[:-1] + b',"model":"y"}', "duplicate_key"),
            ("with two models, one escaped", HELLO[:-1] + b',"mod\\u0065l":"y"}', "duplicate_key"),
            ("with two message lists", HELLO[:-1] + b',"messages":[]}', "duplicate_key"),
        )
    ),
    refused("body nested 100,000 deep", chat(body=HELLO[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400, "too_deeply_nested"),
    passes("a body in gzip", zipped(gzip.compress(HELLO))),
    refused("not gzip", zipped(HELLO), 400, "bad_content_encoding"),
    refused("gzip cut short", zipped(gzip.compress(HELLO)[:-4]), 400, "bad_content_encoding"),
    refused("gzip with more behind it", zipped(gzip.compress(HELLO) + b"x"), 400, "bad_content_encoding"),
    refused("gzip twice", chat(b"Content-Encoding: gzip, gzip"), 415, "bad_content_encoding"),
    refused("an unknown encoding", chat(b"Content-Encoding: zz"), 415, "bad_content_encoding"),
    refused("a gzip bomb", zipped(gzip.compress(b" " * 100_000_000)), 413, "body_too_large"),
    passes("no content type", chat()),
    passes("a wrong content type", chat(b"Content-Type: text/plain; charset=utf-16")),
]  # fmt: skip

# --- Headers that must make no difference -----------------------------------------------------------------------------

_IGNORED = (
    b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: https", b"Forwarded: for=1.1.1.1",
    b"X-Original-URL: /api/v1/agents", b"X-Rewrite-URL: /api/v1/agents", b"X-HTTP-Method-Override: DELETE", b"Via: 1.1 evil",
    b"Range: bytes=0-3", b"If-None-Match: *", b"Accept-Encoding: br, zstd, gzip", b"Cookie: session=1",
    b"TE: trailers", b"Connection: close2, te", b"Keep-Alive: timeout=1", b"Upgrade: h2c", b"Proxy-Authorization: Basic YTpi",
    b"Max-Forwards: 0", b"traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01", b"traceparent: " + b"0" * 56,
    b"traceparent: 00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", b"tracestate: " + b"a=b," * 200,
    b"Switchback-Unknown: x", b"Switchback-Run-Id: run_1", b"Content-Type: multipart/form-data",
)  # fmt: skip

IGNORED = [
    *(passes(f"ignored: {line[:60].decode()}", chat(line)) for line in _IGNORED),
    passes("traceparent twice", chat(b"traceparent: a", b"traceparent: b")),
    passes("a Host of somebody else", chat().replace(HOST, b"Host: evil.example:1")),
    passes("an upgrade with a body", chat(b"Connection: Upgrade", b"Upgrade: websocket")),
    forwarded("a key in Basic", request(b"Authorization: Basic YTpi", b"Content-Length: 2", target=FORWARDED) + b"{}", body=b"{}", status=401),
    forwarded("an empty key", request(b"Authorization:", target=FORWARDED), status=401),
    forwarded("only Bearer", request(b"Authorization: Bearer", target=FORWARDED), status=401),
    passes("a key of 8 KB", request(b"Authorization: Bearer " + b"k" * 8192, b"Content-Length: %d" % len(HELLO)) + HELLO),
    rejected("a key with a line break", request(b"Authorization: Bearer a\rb", b"Content-Length: 0")),
]  # fmt: skip

# --- Half a request, half a connection --------------------------------------------------------------------------------

_LENGTH = b"Content-Length: %d" % len(HELLO)
_OPENING = request(KEY, _LENGTH)

PARTIAL = [
    vanishes("nothing is said", Step.SILENCE),
    vanishes("only a line break", b"\r\n", Step.HALF_CLOSE),
    vanishes("half a request line, then the end", b"POST /a/sup", Step.HALF_CLOSE),
    vanishes("half a head, then the end", _OPENING[:40], Step.HALF_CLOSE),
    vanishes("a head without a body, then the end", _OPENING, Step.HALF_CLOSE),
    vanishes("half a body, then the end", _OPENING + HELLO[:_HALF], Step.TURN, Step.HALF_CLOSE),
    vanishes("no last chunk, then the end", chunks(pieces=chunk(HELLO)), Step.HALF_CLOSE),
    vanishes("half a last chunk, then the end", chunks(pieces=chunk(HELLO) + b"0\r\n"), Step.HALF_CLOSE),
    vanishes("half a body, then a reset", _OPENING + HELLO[:_HALF], Step.TURN, Step.RESET),
    rejected("half a head, then silence", _OPENING[:40], Step.SILENCE, status=408),
    rejected("a head, then silence", _OPENING, Step.SILENCE, status=408),
    rejected("half a body, then silence", _OPENING + HELLO[:_HALF], Step.SILENCE, status=408),
    rejected("half a chunk, then silence", chunks(pieces=chunk(HELLO)[:9]), Step.SILENCE, status=408),
    rejected("no last chunk, then silence", chunks(pieces=chunk(HELLO)), Step.SILENCE, status=408),
    rejected("an invited body that never comes", request(KEY, b"Expect: 100-continue", _LENGTH), Step.CONTINUE, Step.SILENCE, status=408),
    Case("an invited body", (request(KEY, b"Expect: 100-continue", _LENGTH), Step.CONTINUE, HELLO), (200,), (injected(HELLO),)),
    Case("a body that does not wait for the invitation", (request(KEY, b"Expect: 100-continue", _LENGTH) + HELLO,), (200,),
         (injected(HELLO),)),
    rejected("an expectation nobody meets", request(KEY, b"Expect: 200-ok", _LENGTH) + HELLO, status=417),
    Case("byte by byte", tuple(bytes((byte,)) for byte in chat()), (200,), (injected(HELLO),)),
    Case("a line at a time", tuple(chat().splitlines(keepends=True)), (200,), (injected(HELLO),)),
    Case("the second call waits for the first answer", (chat(), Step.ANSWER, chat()), (200, 200), (injected(HELLO),) * 2),
    Case("a call, then half a call and silence", (chat(), Step.ANSWER, _OPENING, Step.SILENCE), (200, 408), (injected(HELLO),),
         stays_open=False),
    Case("a call, then half a call and the end", (chat(), Step.ANSWER, _OPENING, Step.HALF_CLOSE), (200,), (injected(HELLO),),
         stays_open=False),
    Case("a call, its answer, then the end", (chat(), Step.ANSWER, Step.HALF_CLOSE), (200,), (injected(HELLO),), stays_open=False),
    Case("a call, its answer, then silence", (chat(), Step.ANSWER, Step.SILENCE), (200,), (injected(HELLO),), stays_open=False),
    vanishes("a whole call, then the end at once", chat(), Step.HALF_CLOSE, bodies=(injected(HELLO),), may_vanish=True),
    vanishes("a whole call, then a reset", chat(), Step.RESET, bodies=(injected(HELLO),), may_vanish=True),
]  # fmt: skip

OWN = [*IDENTITY, *PATHS, *FRAMING, *BODIES, *IGNORED, *PARTIAL]
CASES = [*LISTENER, *OWN]
DUPLICATES = {case.name for case in CASES if sum(other.name == case.name for other in CASES) > 1}
"""Always empty: names are how rows are found."""
