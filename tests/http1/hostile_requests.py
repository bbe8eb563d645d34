"""One table of hostile requests: what is sent, which statuses come back, what the handler sees.

Data only; `test_hostile_requests.py` sends every row over a real socket, `test_request_parser.py` byte by byte.
"""

from typing import NamedTuple

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SEEN_LAST = ("GET", b"/last", b"")
CANARY = b"sk-canary"


class Row(NamedTuple):
    name: str
    sent: bytes
    statuses: tuple[int, ...]
    """In order. A row whose last status is 200 leaves the connection usable, any other closes it."""
    bodies: tuple[bytes, ...] = ()
    """Of the calls that reach the handler; as many as there are statuses of 200."""


def get(target=b"/", version=b"HTTP/1.1", headers=b"Host: a\r\n"):
    return b"GET %b %b\r\n%b\r\n" % (target, version, headers)


def head(*lines, method=b"GET"):
    return b"\r\n".join((method + b" / HTTP/1.1", b"Host: a", *lines, b"", b""))


def post(*lines, body=b""):
    return head(*lines, method=b"POST") + body


def chunked(body, *lines):
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


BAD = (400,)
OK = (200,)
EMPTY = (b"",)
ABC = (b"abc",)
END = b"0\r\n\r\n"

REQUEST_LINE = [
    Row("leading line breaks are tolerated", b"\r\n\r\n" + get(), OK, EMPTY),
    Row("a leading space", b" " + get(), BAD),
    Row("lower-case method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Row("unknown method", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Row("method of WebDAV", b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", (405,)),
    Row("TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", (405,)),
    Row("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", (405,)),
    Row("CONNECT with tunnelled bytes", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" + get(), (405,)),
    Row("absolute form", get(b"http://a/"), BAD),
    Row("absolute form of a metadata address", get(b"http://169.254.169.254/latest"), BAD),
    Row("authority form", get(b"a:80"), BAD),
    Row("asterisk form", get(b"*"), BAD),
    Row("OPTIONS with asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Row("a target without slash", get(b"foo"), BAD),
    Row("an empty target", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    Row("a fragment", get(b"/a#b"), BAD),
    Row("a space in the target", get(b"/a b"), BAD),
    Row("a tab in the target", get(b"/a\tb"), BAD),
    Row("NUL in the target", get(b"/\x00"), BAD),
    Row("a control character in the target", get(b"/\x01"), BAD),
    Row("DEL in the target", get(b"/\x7f"), BAD),
    Row("a non-ASCII byte in the target", get(b"/\xff"), BAD),
    Row("a line break in the target is HTTP/0.9", get(b"/\r\nX: y"), (505,)),
    Row("no version (HTTP/0.9)", b"GET /\r\n\r\n", (505,)),
    Row("HTTP/0.9 written out", get(version=b"HTTP/0.9"), (505,)),
    Row("HTTP/1.2", get(version=b"HTTP/1.2"), (505,)),
    Row("HTTP/2.0", get(version=b"HTTP/2.0"), (505,)),
    Row("HTTP/3.0", get(version=b"HTTP/3.0"), (505,)),
    Row("HTTP/1.01", get(version=b"HTTP/1.01"), BAD),
    Row("lower-case http/1.1", get(version=b"http/1.1"), BAD),
    Row("space after the version", get(version=b"HTTP/1.1 "), BAD),
    Row("RTSP", b"OPTIONS / RTSP/1.0\r\nHost: a\r\n\r\n", (505,)),
    Row("RTSP with a method of HTTP", b"POST / RTSP/1.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n", (505,)),
    Row("RTSP/1.1, which has a Host as well", b"GET / RTSP/1.1\r\nHost: a\r\n\r\n", (505,)),
    Row("RTSP behind another request", get() + b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", (200, 505), EMPTY),
    Row("RTSP behind a body", chunked(b"3\r\nabc\r\n" + END) + b"GET / RTSP/1.0\r\n\r\n", (200, 505), ABC),
    Row("RTSP in a header is no protocol", head(b"X: RTSP/1.0"), OK, EMPTY),
    Row("OPTIONS over HTTP/1.0", b"OPTIONS / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", OK, EMPTY),
    Row("RTSP's own method", b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", (505,)),
    Row("ICE", b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", (505,)),
    Row("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    Row("TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD),
    Row("PROXY protocol", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + get(), BAD),
    Row("random bytes", bytes(range(128, 256)), BAD),
    Row("a request line of 9 KB", get(b"/" + b"a" * 9000), (414,)),
    Row("a request line of 40 KB", get(b"/" + b"a" * 40_000), (414,)),
    Row("bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", BAD),
    Row("bare CR after the request line", b"GET / HTTP/1.1\rHost: a\r\n\r\n", BAD),
]

TARGETS_THAT_PASS_AS_SENT = [
    b"//evil.example/x",
    b"/v1/../admin",
    b"/v1/%2e%2e/admin",
    b"/v1%2f..%2fadmin",
    b"/v1/..;/admin",
    b"/%252e",
    b"/\\",
    b"/%00",
    b"/%0d%0a",
    b"/%zz",
    b"/%c0%ae",
    b"/a?b?c=d&&",
    b"/a;b=c",
    b'/"<>{}|^`',
    b"/?" + b"q" * 8000,
]

HEADERS = [
    Row("missing Host", get(headers=b""), BAD),
    Row("missing Host on 1.0 is fine", get(version=b"HTTP/1.0", headers=b"Connection: keep-alive\r\n"), OK, EMPTY),
    Row("two equal Hosts", get(headers=b"Host: a\r\nHost: a\r\n"), BAD),
    Row("two different Hosts", get(headers=b"Host: a\r\nHost: b\r\n"), BAD),
    Row("two Hosts on 1.0", get(version=b"HTTP/1.0", headers=b"Host: a\r\nHost: b\r\n"), BAD),
    Row("bad Host on 1.0", get(version=b"HTTP/1.0", headers=b"Host: a/b\r\n"), BAD),
    *(
        Row(f"Host {host!r}", get(headers=b"Host: %b\r\n" % host), BAD)
        for host in (
            b"",
            b"u@a",
            b"a/b",
            b"a/admin?",
            b"a b",
            b"[::1",
            b"::1",
            b"a:99999",
            b"a:65536",
            b"a:",
            b"a:b",
            b"a,b",
            b"a#",
            b"a?b",
            b"http://a",
            b"[::1]x",
            b"\xc3\xa4",
        )
    ),
    *(
        Row(f"Host {host!r} is fine", get(headers=b"Host: %b\r\n" % host), OK, EMPTY)
        for host in (b"a.example:8100", b"127.0.0.1:1", b"[::1]:65535", b"my_proxy", b" a ", b"a\t")
    ),
    Row("a Host of 400 bytes", get(headers=b"Host: %b\r\n" % (b"a" * 400)), BAD),
    Row("an underscore in a name frames nothing", head(b"Content_Length: 3"), OK, EMPTY),
    Row("an underscore in an identity header", head(b"Switchback_Agent: x"), OK, EMPTY),
    Row("Transfer_Encoding is no coding", head(b"Transfer_Encoding: chunked"), OK, EMPTY),
    Row("no colon", head(b"X"), BAD),
    Row("an empty name", head(b": a"), BAD),
    Row("space before the colon", head(b"X : a"), BAD),
    Row("space in the name", head(b"X Y: a"), BAD),
    Row("a delimiter in the name", head(b"X(: a"), BAD),
    Row("a non-ASCII name", head(b"X\xc3\xa4: a"), BAD),
    Row("NUL in the name", head(b"X\x00: a"), BAD),
    Row("obs-fold", head(b"X: a", b" b"), BAD),
    Row("obs-fold with a tab", head(b"X: a", b"\tb"), BAD),
    Row("space before the first name", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    Row("bare LF between headers", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BAD),
    Row("bare LF at the end of the head", b"GET / HTTP/1.1\r\nHost: a\r\n\n", BAD),
    Row("bare CR in a value", head(b"X: a\rb"), BAD),
    Row("NUL in a value", head(b"X: a\x00"), BAD),
    Row("a control character in a value", head(b"X: a\x01"), BAD),
    Row("vertical tab in a value", head(b"X: a\x0bb"), BAD),
    Row("DEL in a value", head(b"X: a\x7f"), BAD),
    Row("a value that is not UTF-8", head(b"X: \xff"), OK, EMPTY),
    Row("overlong UTF-8 in a value", head(b"X: \xc0\xae"), OK, EMPTY),
    Row("a secret in a malformed header is not echoed", head(b"Authorization : Bearer " + CANARY), BAD),
    Row("UTF-8 in a value", head(b"X: \xc3\xa4"), OK, EMPTY),
    Row("an empty value", head(b"X:"), OK, EMPTY),
    Row("100 headers", head(*(b"X-%d: y" % n for n in range(99))), OK, EMPTY),
    Row("101 headers", head(*(b"X-%d: y" % n for n in range(100))), (431,)),
    Row("a header of 31 KB", head(b"X: " + b"y" * 31_000), OK, EMPTY),
    Row("a header of 33 KB", head(b"X: " + b"y" * 33_000), (431,)),
    Row("a header of 200 KB", head(b"X: " + b"y" * 200_000), (431,)),
    Row("ten headers of 4 KB", head(*(b"X-%d: %b" % (n, b"y" * 4096) for n in range(10))), (431,)),
    Row("a cookie bomb", head(b"Cookie: " + b"a=b; " * 8000), (431,)),
    Row("Connection names an identity header", head(b"Connection: keep-alive, X-Agent", b"X-Agent: a"), OK, EMPTY),
]

LENGTHS = [
    Row("no body", post(), OK, EMPTY),
    Row("Content-Length 0", post(b"Content-Length: 0"), OK, EMPTY),
    Row("a body", post(b"Content-Length: 3", body=b"abc"), OK, ABC),
    Row("a body of GET", head(b"Content-Length: 3") + b"abc", OK, ABC),
    Row("leading zeros", post(b"Content-Length: 0003", body=b"abc"), OK, ABC),
    Row("trailing white space", post(b"Content-Length: 3 \t", body=b"abc"), OK, ABC),
    *(
        Row(f"Content-Length {value!r}", post(b"Content-Length: " + value, body=b"abc"), BAD)
        for value in (
            b"+3",
            b"-1",
            b"-0",
            b"0x3",
            b"1_0",
            b"",
            b"3.0",
            b"3e0",
            b"3, 3",
            b"3,3",
            b"3 3",
            b"3;",
            b"\xd9\xa3",
            b"abc",
            b"9" * 22,
            b'"3"',
        )
    ),
    Row("length over the limit", post(b"Content-Length: 33554433"), (413,)),
    Row("length of 2^64 - 1", post(b"Content-Length: 18446744073709551615"), (413,)),
    Row("two equal lengths", post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), BAD),
    Row("two different lengths", post(b"Content-Length: 3", b"Content-Length: 4", body=b"abc"), BAD),
    Row("length then chunked", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=END), BAD),
    Row("chunked then length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=END), BAD),
    Row(
        "bytes beyond the length are the next request",
        post(b"Content-Length: 3", body=b"abcxyz\r\n\r\n"),
        (200, 400),
        ABC,
    ),
    Row(
        "a request inside a body is not a request",
        post(b"Content-Length: %d" % len(get(b"/smuggled")), body=get(b"/smuggled")),
        OK,
        (get(b"/smuggled"),),
    ),
    Row("a line break after a body", post(b"Content-Length: 3", body=b"abc\r\n"), OK, ABC),
]

CODINGS = [
    Row("chunked", chunked(b"3\r\nabc\r\n" + END), OK, ABC),
    Row("Chunked in capitals", post(b"TRANSFER-ENCODING: CHUNKED", body=b"3\r\nabc\r\n" + END), OK, ABC),
    Row("chunked with white space", post(b"Transfer-Encoding: \tchunked ", body=b"3\r\nabc\r\n" + END), OK, ABC),
    Row("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked", body=END), (501,)),
    Row("gzip and chunked apart", post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked", body=END), (501,)),
    *(
        Row(f"Transfer-Encoding {value!r}", post(b"Transfer-Encoding: " + value, body=END), BAD)
        for value in (
            b"xchunked",
            b"chunkedx",
            b"identity",
            b"gzip",
            b"chunked, identity",
            b"chunked, gzip",
            b"chunked, chunked",
            b"chunked,",
            b"chunked\t",
            b",chunked",
            b" , chunked",
            b"\x0bchunked",
            b"\x0cchunked",
            b"chunked\x00",
            b"",
            b"'chunked'",
            b'"chunked"',
            b"chunked;q=1",
            b"chunked; a=b",
            b"chun ked",
        )
    ),
    Row("two chunked", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=END), BAD),
    Row("chunked by obs-fold", post(b"Transfer-Encoding:", b" chunked", body=END), BAD),
    Row("chunked on 1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + END, BAD),
]

CHUNKS = [
    Row("several chunks", chunked(b"1\r\na\r\n02\r\nbc\r\n" + END), OK, ABC),
    Row(
        "upper and lower case sizes", chunked(b"A\r\n0123456789\r\na\r\n0123456789\r\n" + END), OK, (b"0123456789" * 2,)
    ),
    Row("only the last chunk", chunked(END), OK, EMPTY),
    Row("a last chunk of many zeros", chunked(b"3\r\nabc\r\n0000\r\n\r\n"), OK, ABC),
    *(
        Row(f"chunk {body!r}", chunked(body + END), BAD)
        for body in (
            b"0x3\r\nabc\r\n",
            b"-3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3 \r\nabc\r\n",
            b"\r\n3\r\nabc\r\n",
            b"3\nabc\r\n",
            b"3\r\nabc\n",
            b"3\rabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc",
            b"4\r\nabc\r\n",
            b"g\r\nabc\r\n",
            b"\r\n",
            b"3_0\r\nabc\r\n",
            b"3,\r\nabc\r\n",
            b"3;a\nb\r\nabc\r\n",
            b"3;\x01\r\nabc\r\n",
            b'3;a="b\r\nabc\r\n',
            b"3;a\rb\r\nabc\r\n",
            b"3\x00\r\nabc\r\n",
            b"\xef\xbc\x93\r\nabc\r\n",
        )
    ),
    Row("bare LF after the last chunk", chunked(b"3\r\nabc\r\n0\n\n"), BAD),
    Row("an extension is dropped", chunked(b'3;a=b;c="d"\r\nabc\r\n' + END), OK, ABC),
    Row("an extension of 30 KB", chunked(b"3;a=" + b"b" * 30_000 + b"\r\nabc\r\n" + END), OK, ABC),
    Row("an extension of 64 KB", chunked(b"3;a=" + b"b" * 64_000 + b"\r\nabc\r\n" + END), BAD),
    Row("extensions of 64 KB in all", chunked((b"1;a=" + b"b" * 800 + b"\r\na\r\n") * 80 + END), BAD),
    Row("a chunk beyond the limit, of which nothing came", chunked(b"2000001\r\n"), (413,)),
    Row("a size of which the end did not come", chunked(b"FFFFFFFF"), (413,)),
    Row("a second chunk beyond the limit", chunked(b"3\r\nabc\r\n1fffffe\r\n"), (413,)),
    Row("a size of seventeen digits that is none", chunked(b"F" * 17 + b"\r\nabc\r\n"), (413,)),
    Row("a size of seventeen digits", chunked(b"00000000000000003"), BAD),
    Row("a chunk of two line ends", chunked(b"4\r\n\r\n\r\n\r\n" + END), OK, (b"\r\n\r\n",)),
    Row("a size with 64 KB of zeros", chunked(b"0" * 64_000 + b"3\r\nabc\r\n" + END), BAD),
    Row("10,000 chunks of one byte", chunked(b"1\r\na\r\n" * 10_000 + END), OK, (b"a" * 10_000,)),
    Row("trailers are dropped", chunked(b"3\r\nabc\r\n0\r\nX-Agent: evil\r\nAuthorization: x\r\n\r\n"), OK, ABC),
    Row("a Host among trailers", chunked(b"3\r\nabc\r\n0\r\nHost: evil\r\n\r\n"), OK, ABC),
    Row("a length among trailers", chunked(b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n"), BAD),
    Row("chunked among trailers", chunked(b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), BAD),
    Row("a malformed trailer", chunked(b"3\r\nabc\r\n0\r\nbad trailer\r\n\r\n"), BAD),
    Row("trailers of 64 KB", chunked(b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 11_000 + b"\r\n"), BAD),
    Row("one trailer of 64 KB", chunked(b"3\r\nabc\r\n0\r\nX: " + b"y" * 64_000 + b"\r\n\r\n"), BAD),
    Row("a request in a chunk is not a request", chunked(b"%x\r\n%b\r\n" % (len(get()), get()) + END), OK, (get(),)),
    Row("garbage after the last chunk", chunked(b"3\r\nabc\r\n" + END + b"xyz\r\n\r\n"), (200, 400), ABC),
]

UPGRADES = [
    Row("websocket", head(b"Upgrade: websocket", b"Connection: Upgrade"), OK, EMPTY),
    Row("h2c", head(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAA"), OK, EMPTY),
    Row(
        "Upgrade with a body", post(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 3", body=b"abc"), OK, ABC
    ),
    Row("Upgrade with chunks", chunked(b"3\r\nabc\r\n" + END, b"Upgrade: x", b"Connection: Upgrade"), OK, ABC),
    Row("Upgrade with bad chunks", chunked(b"x\r\nabc\r\n" + END, b"Upgrade: x", b"Connection: Upgrade"), BAD),
    Row("Upgrade and both lengths", chunked(END, b"Upgrade: x", b"Connection: Upgrade", b"Content-Length: 3"), BAD),
    Row("Upgrade without Connection", head(b"Upgrade: websocket"), OK, EMPTY),
    Row("two upgrades in one read", head(b"Upgrade: x", b"Connection: Upgrade") * 2, (200, 200), EMPTY * 2),
]

EXPECTATIONS = [
    Row("an unknown expectation", post(b"Expect: 200-ok", b"Content-Length: 3", body=b"abc"), (417,)),
    Row("two expectations", post(b"Expect: 100-continue", b"Expect: 100-continue"), BAD),
    Row("continue without a body", post(b"Expect: 100-continue"), OK, EMPTY),
    Row(
        "continue is not offered for a body too large",
        post(b"Expect: 100-continue", b"Content-Length: 99999999"),
        (413,),
    ),
]

PIPELINES = [
    Row(
        "two requests in one read",
        get(b"/v1/conversations/a") + post(b"Content-Length: 3", body=b"abc"),
        (200, 200),
        (b"", b"abc"),
    ),
    Row("a good one, then a bad one", get() + b"GET / HTTP/9.9\r\n\r\n", (200, 505), EMPTY),
    Row("two good ones, then garbage", get() * 2 + b"\x00\x01\x02", (200, 200, 400), EMPTY * 2),
    Row("a bad one hides the good one behind it", head(b"X : y") + get(), BAD),
    Row("1,000 in one go", get() * 1000, (200,) * 1000, EMPTY * 1000),
    Row("100 with bodies", post(b"Content-Length: 3", body=b"abc") * 100, (200,) * 100, ABC * 100),
    Row("100 chunked", chunked(b"3\r\nabc\r\n" + END) * 100, (200,) * 100, ABC * 100),
]

TABLE = REQUEST_LINE + HEADERS + LENGTHS + CODINGS + CHUNKS + UPGRADES + EXPECTATIONS + PIPELINES
