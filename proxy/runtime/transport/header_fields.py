"""Which header fields cross the proxy, in both directions, and which of them it reads itself. Pure: pairs in, pairs out.

Upstream goes everything end-to-end except what is ours, what frames one connection, and credentials that belong elsewhere.
Back comes everything end-to-end except what a provider has no business setting on the app's origin (cookies, HSTS, CORS).

Decision: a client sends the same names in the same order with every call, so what is done with each place is worked out
once for such a head. Looking for each field apart cost 9 µs of a call, this costs 1.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Final

from proxy.core.calls.identity import CREDENTIAL_HEADERS, OUR_PREFIX, holds_admin_token
from proxy.core.calls.resolution import Resolution
from proxy.core.errors import BadInput
from proxy.runtime.providers import Provider
from proxy.runtime.transport.inflate import coding_of
from proxy.wires.families import VERSION_HEADERS
from proxy.wires.key_owners import family_of_keys, may_hold_key
from proxy.wires.wire import EVENT_STREAM, Headers, WireFamily

HOP_BY_HOP: Final = frozenset(
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
_NOT_UPSTREAM: Final = HOP_BY_HOP | {b"host", b"content-length", b"expect", b"baggage", b"cookie", b"forwarded", b"via"}
_NOT_A_WIRES: Final = _NOT_UPSTREAM | CREDENTIAL_HEADERS | {b"accept-encoding", b"content-encoding"}
_NOT_BACK: Final = HOP_BY_HOP | {
    b"set-cookie",
    b"strict-transport-security",
    b"alt-svc",
    b"clear-site-data",
    b"public-key-pins",
    b"nel",
    b"report-to",
}
_JSON: Final = b"application/json"
_IDENTITY: Final = (b"accept-encoding", b"identity")
_CODING: Final = b"content-encoding"
#: Bounds of what is remembered of heads, so that nobody can fill the memory with them.
_HEADS_KEPT: Final = 1024
_NAME_BYTES_KEPT: Final = 1024
_request_places: Final["dict[tuple[bytes, ...], _Places]"] = {}
_answer_places: Final["dict[tuple[bytes, ...], _Places]"] = {}
_name_of: Final[Callable[[tuple[bytes, bytes]], bytes]] = itemgetter(0)

#: What the name of a field makes of it: passed; dropped; read here; both; says who calls (ours, which is not passed, or a
#: credential); names fields that are dropped; passed, once it was looked at for what no provider may see.
_PASSED: Final = 0
_DROPPED: Final = 1
_READ: Final = 2
_READ_AND_PASSED: Final = 3
_IDENTITY_FIELD: Final = 4
_CONNECTION: Final = 5
_LOOKED_AT: Final = 6
_Picking = Callable[[Headers], Iterable[tuple[bytes, bytes]]]


class _Places:
    """Where in a head the fields of each kind stand: the same for every head with the same names in the same order."""

    __slots__ = ("connections", "identity", "passed", "read")

    def __init__(self, names: tuple[bytes, ...], judge: Callable[[bytes], int]) -> None:
        kinds = [judge(name) for name in names]
        self.passed = _picking(
            [index for index, kind in enumerate(kinds) if kind in (_PASSED, _READ_AND_PASSED, _LOOKED_AT)]
        )
        self.identity = _picking([index for index, kind in enumerate(kinds) if kind == _IDENTITY_FIELD])
        self.read = [index for index, kind in enumerate(kinds) if kind in (_READ, _READ_AND_PASSED, _LOOKED_AT)]
        self.connections = [index for index, kind in enumerate(kinds) if kind == _CONNECTION]


class RequestFields:
    """The fields of a request, sorted by what is done with them."""

    __slots__ = (
        "api_version",
        "content_encoding",
        "encodings",
        "forwarded",
        "has_admin_token",
        "identity",
        "origin",
        "traceparent",
        "upgrade",
        "version_family",
    )

    def __init__(self, headers: Headers) -> None:
        names = tuple(map(_name_of, headers))
        places = _request_places.get(names) or _learn(_request_places, names, _request_kind)
        #: What any provider may see, in order.
        self.forwarded: Headers = list(places.passed(headers))
        #: Ours and the caller's credentials, in order.
        self.identity: Headers = list(places.identity(headers))
        #: Only for answers that nobody reads here.
        self.encodings: Headers = []
        #: What an API's version header says, and the family that has this header.
        self.api_version: bytes | None = None
        self.version_family: WireFamily | None = None
        self.content_encoding: bytes | None = None
        self.origin: bytes | None = None
        self.traceparent: bytes | None = None
        self.upgrade: bytes | None = None
        #: A token of the admin API, in a field that is no credential's.
        self.has_admin_token = False
        for index in places.read:
            self._read(headers[index])
        if places.connections and (listed := _listed(headers, places.connections)) is not None:
            # What says who calls stays: ours is not passed on anyhow, and a caller's key goes to its provider.
            self.forwarded = _without(self.forwarded, listed)
            self.encodings = _without(self.encodings, listed)

    def take_key(self, field: tuple[bytes, bytes]) -> None:
        """Add the credential that stood elsewhere in the request."""
        self.identity.append(field)

    def for_provider(self, provider: Provider, *, is_metered: bool, keeps_coding: bool = True) -> Headers:
        """What to send to the provider. A metered answer is asked for uncompressed, so that it can be read in passing.

        `keeps_coding`: the body goes on as it came, in its content coding. A header that only others read is left out. Raises
        BadInput(`foreign_key`): a key of another provider never reaches this one, and is the only one the call has.
        """
        credentials = provider.own_credentials
        if credentials is None:
            credentials = [pair for pair in self.identity if pair[0] in provider.key_headers]
            has_own = False
            for name, value in credentials:
                foreign = provider.foreign_keys.match(value)
                if foreign is None:
                    has_own = True
                elif foreign["none"] is None:
                    raise _foreign_key(name, provider)
            if not has_own and provider.needs_key:
                _check_none(self.identity, provider)
        if is_metered:
            coding = [pair for pair in self.encodings if pair[0] == _CODING] if self.encodings and keeps_coding else []
            return [*self.forwarded, _IDENTITY, *coding, *credentials]
        encodings = self.encodings if keeps_coding else [pair for pair in self.encodings if pair[0] != _CODING]
        return [*self.forwarded, *encodings, *credentials]

    @property
    def has_key(self) -> bool:
        """Whether a header field carries a credential."""
        return any(name in CREDENTIAL_HEADERS and value for name, value in self.identity)

    @property
    def family(self) -> WireFamily | None:
        """Whose client sends this, by its version header or by its key; None: neither tells."""
        return self.version_family or family_of_keys(self.identity)

    def _read(self, pair: tuple[bytes, bytes]) -> None:
        name, value = pair
        if name == b"accept-encoding":
            self.encodings.append(pair)
        elif name == b"content-encoding":
            self.encodings.append(pair)
            before = self.content_encoding
            self.content_encoding = value if before is None else before + b"," + value
        elif name == b"traceparent":
            self.traceparent = self.traceparent or value
        elif name == b"origin":
            self.origin = self.origin or value
        elif name == b"upgrade":
            self.upgrade = self.upgrade or value
        elif name not in VERSION_HEADERS:
            self.has_admin_token = self.has_admin_token or holds_admin_token(value)
        elif self.version_family is None:
            self.api_version, self.version_family = value, VERSION_HEADERS[name]


class AnswerFields:
    """The fields of a provider's answer: what goes to the client, and what is read here."""

    __slots__ = ("content_encoding", "content_length", "is_stream", "passed", "request_id")

    def __init__(self, headers: Headers, stream_type: bytes = EVENT_STREAM) -> None:
        """`stream_type`: what its wire's streams are sent as."""
        names = tuple(map(_name_of, headers))
        places = _answer_places.get(names) or _learn(_answer_places, names, _answer_kind)
        self.passed: Headers = list(places.passed(headers))
        self.is_stream = False
        self.content_length: bytes | None = None
        self.content_encoding: bytes | None = None
        self.request_id: bytes | None = None
        for index in places.read:
            name, value = headers[index]
            if name == b"content-type":
                # In any case, with any parameters (RFC 9110 §8.3.1).
                self.is_stream = value != _JSON and value[: len(stream_type)].lower() == stream_type
            elif name == b"content-length":
                self.content_length = value
            elif name == b"content-encoding":
                before: bytes | None = self.content_encoding
                self.content_encoding = value if before is None else before + b"," + value
            elif name == b"x-request-id" or self.request_id is None:
                self.request_id = value
        if places.connections and (listed := _listed(headers, places.connections)) is not None:
            self.passed = _without(self.passed, listed)

    @property
    def is_encoded(self) -> bool:
        return self.content_encoding is not None and coding_of(self.content_encoding) is not None


#: The fields that tell what was resolved.
STAMPS: Final = (
    "switchback-agent",
    "switchback-version",
    "switchback-version-id",
    "switchback-reason",
    "switchback-release",
    "switchback-label",
    "switchback-arm",
    "switchback-bucket",
    "switchback-run-id",
)


def stamp_lines(resolution: Resolution) -> bytes:
    """The Switchback-… lines of an answer that tell what was resolved, but for the bucket. Raises ValueError for a name
    that would break the line."""
    return _lines(
        ("switchback-agent", resolution.version.agent),
        ("switchback-version", resolution.version.stamp),
        ("switchback-version-id", resolution.version.bundle.bundle_hash),
        ("switchback-reason", resolution.reason),
        ("switchback-release", resolution.release),
        ("switchback-label", resolution.label),
        ("switchback-arm", resolution.arm),
    )


def agent_lines(agent: str, label: str | None, reason: str | None) -> bytes:
    """The lines of an answer on which no version is claimed. Raises ValueError as `stamp_lines`."""
    return _lines(("switchback-agent", agent), ("switchback-label", label), ("switchback-reason", reason))


def _lines(*pairs: tuple[str, str | int | None]) -> bytes:
    lines = [f"{name}: {value}" for name, value in pairs if value is not None]
    if not all(line.isprintable() for line in lines):
        raise ValueError("a stamp contains a line break")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _check_none(identity: Headers, provider: Provider) -> None:
    """Whether a call without a key of the provider's has none at all, which is the provider's to judge."""
    for name, value in identity:
        if name in CREDENTIAL_HEADERS and name not in provider.key_headers and value:
            raise _foreign_key(name, provider)


def _foreign_key(name: bytes, provider: Provider) -> BadInput:
    return BadInput(
        "foreign_key",
        f"the key in {name.decode()} is another provider's and is not sent to {provider.name!r}: check the base URL, send a key "
        f"of {provider.name!r}, or set its api_key in the settings",
    )


def _request_kind(name: bytes) -> int:
    if name.startswith(OUR_PREFIX) or name in CREDENTIAL_HEADERS:
        return _IDENTITY_FIELD
    if name in (b"accept-encoding", b"content-encoding", b"upgrade"):
        return _READ
    if b"_" in name:
        # Many servers read `a_b` as `a-b`: passed on only where that would be passed on as well, unread by us.
        kind = _request_kind(name.replace(b"_", b"-"))
        return kind if kind in (_PASSED, _LOOKED_AT) else _DROPPED
    if name in (b"traceparent", b"origin") or name in VERSION_HEADERS:
        return _READ_AND_PASSED
    if name == b"connection":
        return _CONNECTION
    if name in _NOT_UPSTREAM or name.startswith(b"x-forwarded-"):
        return _DROPPED
    return _LOOKED_AT if may_hold_key(name) else _PASSED


def _answer_kind(name: bytes) -> int:
    if name == b"content-length":
        return _READ
    if name in (b"content-type", b"content-encoding", b"x-request-id", b"request-id"):
        return _READ_AND_PASSED
    if name == b"connection":
        return _CONNECTION
    is_dropped = name in _NOT_BACK or name.startswith((OUR_PREFIX, b"access-control-"))
    return _DROPPED if is_dropped else _PASSED


def _learn(known: dict[tuple[bytes, ...], _Places], names: tuple[bytes, ...], judge: Callable[[bytes], int]) -> _Places:
    places = _Places(names, judge)
    if sum(map(len, names)) <= _NAME_BYTES_KEPT:
        if len(known) >= _HEADS_KEPT:
            known.clear()
        known[names] = places
    return places


def _picking(indices: list[int]) -> _Picking:
    """A function that picks the items at these places."""
    if len(indices) > 1:
        return itemgetter(*indices)
    return lambda headers: tuple([headers[index] for index in indices])


def _listed(headers: Headers, connections: list[int]) -> bytes | None:
    """What Connection fields declare to be between two neighbours only (RFC 9110 §7.6.1); None: nothing."""
    values = [headers[index][1] for index in connections]
    return b",".join(value for value in values if value.lower() not in (b"keep-alive", b"close")) or None


def with_changes(headers: Headers, changes: Mapping[bytes, bytes | None]) -> Headers:
    """The fields to send with a wire's changes in them. Raises ValueError for a name that is no wire's to change: a credential goes
    where the settings say, and framing is the connection's."""
    if not _NOT_A_WIRES.isdisjoint(changes):
        raise ValueError("a wire may change no credential and no framing")
    kept = [pair for pair in headers if pair[0] not in changes]
    return kept + [(name, value) for name, value in changes.items() if value is not None]


def _without(headers: Headers, listed: bytes) -> Headers:
    names = {name.strip().lower() for name in listed.split(b",")}
    return [pair for pair in headers if pair[0] not in names]
