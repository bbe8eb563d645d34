"""Whose a caller's key is, and where it may go: never to an origin that belongs to another than who gave it out.

Belongs here: how keys look that one provider alone gives out, the domains that take them, the forms in which a query carries one.
Which header fields carry a key to a family's providers is families.py's table. Pure: texts and bytes in, values out.

A key goes by its shape to its owner's own domain, and to an origin of nobody in particular (a gateway, a server of one's own) that
the settings call its owner's family. Keys without a shape of their own say nothing, and go where their header belongs.

Sources: the providers' documentation of their keys as of 2026-11; AWS Signature Version 4; Azure API Management's subscription keys.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from proxy.core.errors import BadInput
from proxy.wires.families import FAMILIES
from proxy.wires.wire import Headers, WireFamily

#: Names of query parameters that carry a key, in any case; what a family takes there is moved to its header first.
_QUERY_NAMES: Final = frozenset(
    {
        b"access_token",
        b"api-key",
        b"api_key",
        b"apikey",
        b"key",
        b"subscription-key",
        b"x-amz-credential",
        b"x-amz-security-token",
        b"x-amz-signature",
        b"x-api-key",
        b"x-goog-api-key",
    }
)
_SEPARATOR: Final = re.compile(rb"[&;]")
#: What a key in a query may be, so that it can stand in a header field.
_FIELD_VALUE: Final = re.compile(rb"[\x21-\x7e]+\Z")
#: Before the key itself.
_SCHEME: Final = rb"(?i:(?:bearer|basic|token)\s+)?"


#: A header that gateways in front of any provider take, under names of their own.
_GATEWAY_HEADERS: Final = frozenset({b"ocp-apim-subscription-key"})
#: What SDKs and browsers send of themselves. Any other field that is passed on may be where somebody put a key.
_NO_KEYS: Final = frozenset(
    {
        b"accept",
        b"accept-language",
        b"anthropic-beta",
        b"anthropic-dangerous-direct-browser-access",
        b"cache-control",
        b"content-type",
        b"date",
        b"openai-beta",
        b"pragma",
        b"user-agent",
        b"x-app",
    }
)
_NO_KEYS_BELOW: Final = (b"sec-", b"x-stainless-")
_NO_HEADERS: Final[frozenset[bytes]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Owner:
    """Who gives out keys that begin so, and takes them below these domains, also in these headers beside its family's."""

    domains: tuple[str, ...]
    shapes: tuple[bytes, ...] = ()
    headers: frozenset[bytes] = _NO_HEADERS
    #: By which wire of the settings its servers are called; None: by none of ours.
    family: WireFamily | None = None

    def has(self, host: str) -> bool:
        return any(host == domain or host.endswith("." + domain) for domain in self.domains)


def _host(base_url: str) -> str:
    return (urlsplit(base_url).hostname or "").rstrip(".")


_OWNERS: Final = (
    *(
        _Owner(
            (".".join(_host(family.default_origin).split(".")[-2:]),),
            family.key_shapes,
            headers=frozenset({family.own_key[0]}),
            family=family.name,
        )
        for family in FAMILIES.values()
    ),
    _Owner(("azure.com", "azure-api.net"), headers=_GATEWAY_HEADERS | {b"api-key"}),
    _Owner(
        ("amazonaws.com", "api.aws"),
        (b"AWS4-HMAC-SHA256 ", b"ABSK", b"bedrock-api-key-"),
        frozenset({b"x-amz-security-token"}),
    ),
    _Owner(("groq.com",), (b"gsk_",)),
    _Owner(("huggingface.co",), (b"hf_",)),
    _Owner(("nvidia.com",), (b"nvapi-",)),
    _Owner(("openrouter.ai",), (b"sk-or-",)),
    _Owner(("perplexity.ai",), (b"pplx-",)),
    _Owner(("x.ai",), (b"xai-",)),
)


def key_headers(family: WireFamily, base_url: str) -> frozenset[bytes]:
    """The caller's header fields with keys that a provider gets."""
    owners = [owner for owner in _OWNERS if owner.has(_host(base_url))]
    more = _GATEWAY_HEADERS if not owners else frozenset[bytes]().union(*(owner.headers for owner in owners))
    return FAMILIES[family].key_headers | more


def foreign_keys(family: WireFamily | None, base_url: str) -> re.Pattern[bytes]:
    """What values of key headers match that must not go to a provider: keys that another provider gave out. One that holds no
    key at all matches with the group `none`. `family` None: a server of nobody in particular takes any."""
    host = _host(base_url)
    domains = {domain for owner in _OWNERS if owner.has(host) for domain in owner.domains}
    if domains:
        others = [owner for owner in _OWNERS if domains.isdisjoint(owner.domains)]
    else:
        # What a gateway takes of providers that no wire here speaks to is its own to say.
        others = [owner for owner in _OWNERS if family is not None and owner.family not in (None, family)]
    shapes = b"|".join(re.escape(shape) for owner in others for shape in owner.shapes)
    foreign = _SCHEME + rb"(?:" + shapes + rb")|" if shapes else b""
    return re.compile(foreign + rb"(?P<none>(?i:bearer)?\s*\Z)")


def family_of_keys(fields: Headers) -> WireFamily | None:
    """The family whose clients send these keys: one that alone has a key in such a header, else one whose keys look so behind
    `Bearer `; None: any family's may."""
    for name, _ in fields:
        senders: list[WireFamily] = [family.name for family in FAMILIES.values() if name in family.key_headers]
        if len(senders) == 1:
            return senders[0]
    for family in FAMILIES.values():
        if any(name in family.key_headers and value[7:].startswith(family.key_shapes) for name, value in fields):
            return family.name
    return None


def may_hold_key(name: bytes) -> bool:
    """Whether somebody may have put a key in a header field of this name, lower case, that is no credential's."""
    return name not in _NO_KEYS and not name.startswith(_NO_KEYS_BELOW)


def family_of_query(query: bytes) -> WireFamily | None:
    """The family whose clients alone send a key so; None: none do."""
    names = _names_in(query)
    senders: list[WireFamily] = [family.name for family in FAMILIES.values() if family.query_key in names]
    return senders[0] if len(senders) == 1 else None


def key_taken_out(query: bytes, family: WireFamily) -> tuple[bytes, tuple[bytes, bytes] | None]:
    """A query without the key that a family's clients of old send in it, and the header field that says it instead; None: there
    is none. Raises BadInput(`duplicate_header`) for two of them, (`bad_header`) for what no header field can hold."""
    wanted = FAMILIES[family].query_key
    if wanted is None or wanted not in query:
        return query, None
    kept: list[bytes] = []
    keys: list[bytes] = []
    for part in query.split(b"&"):
        name, mark, value = part.partition(b"=")
        if mark and unquote_to_bytes(name) == wanted:
            keys.append(value)
        else:
            kept.append(part)
    if not keys:
        return query, None
    if len(keys) > 1:
        raise BadInput("duplicate_header", "the query holds two keys")
    key = unquote_to_bytes(keys[0])
    if not _FIELD_VALUE.match(key):
        raise BadInput("bad_header", "the key in the query is none")
    header, before = FAMILIES[family].own_key
    return b"&".join(kept), (header, before + key)


def carries_key(query: bytes) -> bool:
    """Whether a query holds a key, as Google's clients of old and Azure's send theirs."""
    return not _QUERY_NAMES.isdisjoint(name.lower() for name in _names_in(query))


def _names_in(query: bytes) -> list[bytes]:
    return [unquote_to_bytes(part.partition(b"=")[0]) for part in _SEPARATOR.split(query)]
