"""Which headers cross the proxy, in both directions. Pure: lists of pairs in, lists of pairs out.

Upstream goes everything end-to-end except what is ours, what frames one connection, and credentials that belong elsewhere.
Back comes everything end-to-end except what a provider has no business setting on the app's origin (cookies, HSTS, CORS).
"""

from proxy.core.identity import CREDENTIAL_HEADERS, OUR_PREFIX
from proxy.core.resolution import Resolution
from proxy.runtime.exchange import Headers
from proxy.runtime.providers import Provider

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
_NOT_UPSTREAM = (
    HOP_BY_HOP
    | CREDENTIAL_HEADERS
    | {b"host", b"content-length", b"expect", b"baggage", b"cookie", b"forwarded", b"via"}
)
_NOT_UPSTREAM_WHEN_METERED = _NOT_UPSTREAM | {b"accept-encoding", b"content-encoding"}
_NOT_BACK = HOP_BY_HOP | {
    b"content-length",
    b"set-cookie",
    b"strict-transport-security",
    b"alt-svc",
    b"clear-site-data",
    b"public-key-pins",
    b"nel",
    b"report-to",
}
_IDENTITY = (b"accept-encoding", b"identity")


def request_headers(headers: Headers, provider: Provider, *, is_metered: bool) -> Headers:
    """The headers for the provider. A metered answer is asked for uncompressed, so that it can be read in passing."""
    dropped = _NOT_UPSTREAM_WHEN_METERED if is_metered else _NOT_UPSTREAM
    listed = _listed_in_connection(headers)
    forwarded = [
        pair
        for pair in headers
        if pair[0] not in dropped
        and not pair[0].startswith(OUR_PREFIX)
        and not pair[0].startswith(b"x-forwarded-")
        and pair[0] not in listed
    ]
    if is_metered:
        forwarded.append(_IDENTITY)
    forwarded.extend(provider.credentials(headers))
    return forwarded


def answer_headers(headers: Headers, stamps: Headers) -> Headers:
    """The headers for the client: the provider's, then ours."""
    listed = _listed_in_connection(headers)
    passed = [
        pair
        for pair in headers
        if pair[0] not in _NOT_BACK
        and not pair[0].startswith(OUR_PREFIX)
        and not pair[0].startswith(b"access-control-")
        and pair[0] not in listed
    ]
    return passed + stamps


def stamps(run_id: str, resolution: Resolution | None) -> Headers:
    """The Switchback-… answer headers, as far as known."""
    headers: Headers = [(b"switchback-run-id", run_id.encode())]
    if resolution is None:
        return headers
    headers.append((b"switchback-version", resolution.version.stamp.encode()))
    headers.append((b"switchback-version-id", resolution.version.bundle.bundle_hash.encode()))
    headers.append((b"switchback-reason", resolution.reason.encode()))
    if resolution.release is not None:
        headers.append((b"switchback-release", b"%d" % resolution.release))
    if resolution.label is not None:
        headers.append((b"switchback-label", resolution.label.encode()))
    if resolution.arm is not None:
        headers.append((b"switchback-arm", resolution.arm.encode()))
    if resolution.bucket is not None:
        headers.append((b"switchback-bucket", b"%d" % resolution.bucket))
    return headers


def header(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header, None where it is absent."""
    for key, value in headers:
        if key == name:
            return value
    return None


def _listed_in_connection(headers: Headers) -> frozenset[bytes]:
    value = header(headers, b"connection")
    if value is None or value.lower() in (b"keep-alive", b"close"):
        return frozenset()
    return frozenset(name.strip().lower() for name in value.split(b","))
