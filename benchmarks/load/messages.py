"""The words on the benchmark's wire: chat completions whole and streamed, as bytes, for provider and load generator alike.

Nothing is sent here. Every event carries the provider's clock (CLOCK_MONOTONIC, which all processes of a machine share) in
its text, so that whoever receives it knows how long it was under way.
"""

import json
import re

MODEL = "gpt-4o-mini"
CALLER_KEY = "sk-callers-own-key-000000000000"

#: Ends every whole answer; a receiver that sees it needs not read the head.
ANSWER_TAIL = b'"service_tier":"default","system_fingerprint":"fp_0123456789"}'
_ANSWER_BODY = (
    b'{"id":"chatcmpl-benchmark0123456789","object":"chat.completion","created":1760000000,"model":"gpt-4o-mini-2024-07-18",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"The ticket belongs to the billing team: the customer '
    b'was charged twice for one order.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":46,"completion_tokens":17,"total_tokens":63,"prompt_tokens_details":{"cached_tokens":0,'
    b'"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,'
    b'"rejected_prediction_tokens":0}},' + ANSWER_TAIL
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_0123456789abcdef\r\n"
    b"openai-processing-ms: 7\r\ncontent-length: %d\r\n\r\n%b" % (len(_ANSWER_BODY), _ANSWER_BODY)
)
#: The same, and the connection ends with it.
LAST_ANSWER = ANSWER.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"x-request-id: req_0123456789abcdef\r\ntransfer-encoding: chunked\r\n\r\n"
)
_CHUNK_START = (
    b'data: {"id":"chatcmpl-benchmark0123456789","object":"chat.completion.chunk","created":1760000000,'
    b'"model":"gpt-4o-mini-2024-07-18","system_fingerprint":"fp_0123456789","choices":['
)
STAMP_MARK = b'"content":"'
STAMP_DIGITS = 19
_EVENT = _CHUNK_START + b'{"index":0,"delta":{"content":"%019d"},"logprobs":null,"finish_reason":null}]}\n\n'
_LAST_EVENT = _CHUNK_START + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
_USAGE_EVENT = (
    _CHUNK_START + b'],"usage":{"prompt_tokens":46,"completion_tokens":17,"total_tokens":63,'
    b'"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"

_STREAMED = re.compile(rb'"stream"\s*:\s*true')
_WANTS_USAGE = re.compile(rb'"include_usage"\s*:\s*true')


def event(now_ns: int) -> bytes:
    """One event in a chunk of its own, stamped with the provider's clock."""
    return _chunk(_EVENT % now_ns)


def stream_end(*, with_usage: bool) -> bytes:
    """Finish, usage if asked for, end marker, end of the body."""
    return _chunk(_LAST_EVENT) + (_chunk(_USAGE_EVENT) if with_usage else b"") + _chunk(DONE) + LAST_CHUNK


def is_streamed(request: bytes) -> bool:
    """Whether a request asks for a stream."""
    return _STREAMED.search(request) is not None


def wants_usage(request: bytes) -> bool:
    """Whether a request asks for the usage of its stream."""
    return _WANTS_USAGE.search(request) is not None


def chat_body(*, streamed: bool = False, size_bytes: int = 0, user: str = "") -> bytes:
    """A chat completion request; about `size_bytes` long where that is more than the small one (a long history)."""
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "I was charged twice for order 4711. Which team takes care of this?"},
    ]
    text = "The customer wrote again about the order, asked for the invoice, and was told to wait for the team. " * 20
    missing = size_bytes - 300
    while missing > 0:
        messages.append({"role": "user", "content": text[: max(1, missing)]})
        missing -= len(text) + 30
    body: dict[str, object] = {"model": MODEL, "messages": messages, "temperature": 0.7}
    if streamed:
        body["stream"] = True
    if user:
        body["user"] = user
    return json.dumps(body, separators=(",", ":")).encode()


def request(port: int, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A whole POST request."""
    pairs = {
        "host": f"127.0.0.1:{port}",
        "accept": "application/json",
        "content-type": "application/json",
        "user-agent": "OpenAI/Python 2.0.0",
        "authorization": f"Bearer {CALLER_KEY}",
        **headers,
        "content-length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def content_length(head: bytes) -> int:
    """The length a head promises, -1 where it promises none (chunked)."""
    head = head.lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return -1
    end = head.find(b"\r\n", at + 17)
    return int(head[at + 17 : end if end >= 0 else len(head)])


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
