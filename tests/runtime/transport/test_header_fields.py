"""Which headers cross: ours never, another origin's key never, what frames one connection never."""

import pytest

from proxy.runtime.providers import Provider
from proxy.runtime.transport.header_fields import AnswerFields, RequestFields, with_changes

OWN_KEY = Provider(name="openai", family="openai", base_url="https://api.openai.com", api_key="sk-ours")
CALLERS = Provider(name="openai", family="openai", base_url="https://api.openai.com")
CLAUDE = Provider(name="anthropic", family="anthropic", base_url="https://api.anthropic.com", api_key="ours")


def test_everything_end_to_end_reaches_the_provider_in_order_and_nothing_of_ours() -> None:
    headers = [
        (b"host", b"proxy"),
        (b"authorization", b"Bearer caller"),
        (b"switchback-user", b"u"),
        (b"x-stainless-lang", b"python"),
        (b"openai-organization", b"o"),
        (b"connection", b"close, x-private, authorization"),
        (b"x-private", b"1"),
        (b"te", b"trailers"),
        (b"upgrade", b"h2c"),
        (b"baggage", b"secret=1"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"accept-encoding", b"gzip"),
        (b"idempotency-key", b"k"),
    ]
    assert RequestFields(headers).for_provider(CALLERS, is_metered=True) == [
        (b"x-stainless-lang", b"python"),
        (b"openai-organization", b"o"),
        (b"idempotency-key", b"k"),
        (b"accept-encoding", b"identity"),
        (b"authorization", b"Bearer caller"),
    ]


def test_a_configured_key_replaces_every_credential_of_the_caller() -> None:
    headers = [(b"authorization", b"Bearer a"), (b"x-api-key", b"b"), (b"api-key", b"c"), (b"x-goog-api-key", b"d")]
    assert RequestFields(headers).for_provider(OWN_KEY, is_metered=False) == [(b"authorization", b"Bearer sk-ours")]
    assert RequestFields(headers).for_provider(CLAUDE, is_metered=False) == [(b"x-api-key", b"ours")]


def test_a_passed_through_call_keeps_its_encoding_headers() -> None:
    headers = [(b"accept-encoding", b"br"), (b"content-encoding", b"gzip")]
    assert RequestFields(headers).for_provider(CALLERS, is_metered=False) == headers


def test_a_provider_cannot_set_cookies_policies_or_our_own_headers_on_the_app() -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=b"),
        (b"strict-transport-security", b"x"),
        (b"access-control-allow-origin", b"*"),
        (b"alt-svc", b"h3"),
        (b"switchback-version", b"forged@1"),
        (b"transfer-encoding", b"chunked"),
        (b"x-request-id", b"req_1"),
    ]
    assert AnswerFields(headers).passed == [(b"content-type", b"application/json"), (b"x-request-id", b"req_1")]


def test_what_connection_lists_goes_no_further_than_to_the_neighbour() -> None:
    headers = [(b"x-hop", b"1"), (b"connection", b"X-Hop"), (b"x-end", b"2"), (b"connection", b"keep-alive")]
    assert RequestFields(headers).forwarded == [(b"x-end", b"2")]
    assert AnswerFields(headers).passed == [(b"x-end", b"2")]


def test_what_the_proxy_reads_itself_is_found_in_the_same_pass() -> None:
    fields = RequestFields(
        [(b"traceparent", b"00-a"), (b"content-encoding", b"gzip"), (b"anthropic-version", b"2023-06-01")]
    )
    assert (fields.traceparent, fields.content_encoding) == (b"00-a", b"gzip")
    assert fields.api_version == b"2023-06-01"
    assert fields.forwarded == [(b"traceparent", b"00-a"), (b"anthropic-version", b"2023-06-01")]
    answer = AnswerFields(
        [
            (b"request-id", b"a"),
            (b"x-request-id", b"b"),
            (b"content-length", b"7"),
            (b"content-type", b"text/event-stream"),
        ]
    )
    assert (answer.request_id, answer.content_length, answer.is_stream) == (b"b", b"7", True)


def test_a_wire_changes_header_fields_but_no_credential_and_no_framing() -> None:
    sent = [(b"accept", b"a"), (b"x-beta", b"1"), (b"x-beta", b"2"), (b"authorization", b"Bearer k")]
    changed = with_changes(sent, {b"x-beta": b"3", b"accept": None, b"x-new": b"n"})
    assert changed == [(b"authorization", b"Bearer k"), (b"x-beta", b"3"), (b"x-new", b"n")]
    for name in (b"authorization", b"x-api-key", b"content-length", b"transfer-encoding", b"host", b"content-encoding"):
        with pytest.raises(ValueError, match="no credential and no framing"):
            with_changes(sent, {name: None})
