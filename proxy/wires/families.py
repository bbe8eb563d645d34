"""The families of providers: whose paths these are, what calling one of them is, whose keys may go there.

The one table of what is provider-shaped outside the wires themselves. Belongs here: default origin, the headers that carry a key,
how keys look, the paths a family serves and what each asks for, where its list of models is, how a base URL with a path is
joined. Pure: texts and bytes in, values out. A path that no family knows is nobody's: a caller's key was not sent for it.

The order of preference is the wires' own operations, then these tables. A family's list is longer than what its wires meter,
because a path that is known to cost nothing must never be refused by a cap, and one that may cost must.

Sources: the public API references and the resources of the official SDKs (openai 3.52, anthropic 2.11, google-genai 3.6) as of 2026-11.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.wires.wire import OperationKind, WireFamily

#: A segment that says an API's version, such as `v1`, `v4` or `v1beta`.
_VERSION_SEGMENT: Final = re.compile(r"v\d+[a-z0-9]*\Z")
_VERSION: Final = "/v1"
#: Segments that stand where a version would, in exact paths of a family's own.
_UNVERSIONED: Final = ("api", "upload")
#: The versions that SDKs put there where a base URL has none; what one has takes their place.
_SDK_VERSION: Final = re.compile(r"/v1(?:alpha|beta)?(?=/)")
#: Methods that ask and change nothing: no provider charges for them.
_ASKING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class PathRule:
    """What calls of one path are. `*` in the path stands for one segment, `*:method` for one that ends so, a last `**` for one or more
    segments; everything else is literal."""

    kind: OperationKind
    methods: frozenset[str]
    segments: tuple[str, ...]

    def matches(self, method: str, segments: tuple[str, ...]) -> bool:
        """Whether a call is this one."""
        own = self.segments
        if method not in self.methods:
            return False
        if own[-1] == "**":
            own = own[:-1]
            if len(segments) <= len(own):
                return False
        elif len(segments) != len(own):
            return False
        return all(_means(wanted, given) for wanted, given in zip(own, segments, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of providers."""

    name: WireFamily
    #: Where the provider itself is that the family is named for.
    default_origin: str
    #: Request headers that carry a key there, lower case.
    key_headers: frozenset[bytes]
    #: The request header with which its clients, and nobody else's, say the API's version, lower case; None: they do not.
    version_header: bytes | None = None
    #: How a key of ours is sent: the header, and what stands before the key.
    own_key: tuple[bytes, bytes]
    #: How keys begin that only the default origin gives out.
    key_shapes: tuple[bytes, ...]
    #: The query parameter with which its clients of old send their key; it is sent on as `own_key` says. None: none does.
    query_key: bytes | None = None
    #: Where the list of models is.
    model_list: str
    #: Where a version is in force, as a message names it.
    versioned_paths: tuple[str, ...]
    #: Where a stream is asked for that no member of the body asks for; None: one does.
    streamed_target: str | None = None
    paths: tuple[PathRule, ...]

    def lists_models(self, path: str) -> bool:
        """Whether that is where its list of models is, in any version of its API."""
        return _SDK_VERSION.sub("", path) == _SDK_VERSION.sub("", self.model_list)

    def kind_of(self, method: str, path: str) -> OperationKind | None:
        """What a call of a path is that no wire meters; None: the path is not this family's. `path` begins with `/v1` or is exact."""
        segments = tuple(path.split("/")[1:])
        is_known = False
        for rule in self.paths:
            if rule.matches(method, segments):
                return rule.kind
            is_known = is_known or any(rule.matches(known, segments) for known in rule.methods)
        if not is_known or method == "POST":
            # What is only asked for or deleted in one family may be a POST in another: `models/{m}:generateContent`.
            return None
        return "free" if method in _ASKING else "unknown"


def _means(wanted: str, given: str) -> bool:
    return wanted in ("*", given) or (wanted.startswith("*:") and given.endswith(wanted[1:]))


def _rules(kind: OperationKind, methods: str, *paths: str) -> tuple[PathRule, ...]:
    asked = frozenset(methods.split())
    return tuple(PathRule(kind, asked, tuple(path.split("/"))) for path in paths)


_OPENAI_PATHS: Final = (
    *_rules("counts", "POST", "v1/responses/input_tokens"),
    *_rules(
        "generates",
        "POST",
        "v1/batches",
        "v1/chat/completions",
        "v1/completions",
        "v1/evals/*/runs",
        "v1/responses",
        "v1/responses/compact",
        "v1/threads/*/runs",
        "v1/threads/*/runs/*/submit_tool_outputs",
        "v1/threads/runs",
    ),
    *_rules(
        "embeds",
        "POST",
        "v1/audio/speech",
        "v1/audio/transcriptions",
        "v1/audio/translations",
        "v1/embeddings",
        "v1/fine_tuning/jobs",
        "v1/images/edits",
        "v1/images/generations",
        "v1/images/variations",
        "v1/videos",
        "v1/videos/*/remix",
    ),
    *_rules(
        "free",
        "POST",
        "v1/assistants",
        "v1/assistants/*",
        "v1/audio/voice_consents",
        "v1/audio/voice_consents/*",
        "v1/batches/*/cancel",
        "v1/chat/completions/*",
        "v1/conversations",
        "v1/conversations/**",
        "v1/evals",
        "v1/evals/*",
        "v1/evals/*/runs/*",
        "v1/files",
        "v1/fine_tuning/checkpoints/**",
        "v1/fine_tuning/jobs/*/cancel",
        "v1/fine_tuning/jobs/*/pause",
        "v1/fine_tuning/jobs/*/resume",
        "v1/moderations",
        "v1/organization/**",
        "v1/projects/*/groups/**",
        "v1/projects/*/roles",
        "v1/projects/*/roles/**",
        "v1/projects/*/users/**",
        "v1/responses/*/cancel",
        "v1/skills",
        "v1/skills/**",
        "v1/threads",
        "v1/threads/*",
        "v1/threads/*/messages",
        "v1/threads/*/messages/*",
        "v1/threads/*/runs/*",
        "v1/threads/*/runs/*/cancel",
        "v1/uploads",
        "v1/uploads/*/cancel",
        "v1/uploads/*/complete",
        "v1/uploads/*/parts",
        "v1/vector_stores",
        "v1/vector_stores/**",
    ),
    # What is stored can be taken away again; where something is asked for there is nothing to delete.
    *_rules(
        "free",
        "GET HEAD DELETE",
        "v1/assistants/*",
        "v1/batches/*",
        "v1/chat/completions/*",
        "v1/containers/**",
        "v1/conversations/**",
        "v1/evals/**",
        "v1/files/*",
        "v1/fine_tuning/checkpoints/**",
        "v1/models/*",
        "v1/organization/**",
        "v1/projects/*/groups/**",
        "v1/projects/*/roles",
        "v1/projects/*/roles/**",
        "v1/projects/*/users/**",
        "v1/responses/*",
        "v1/skills/**",
        "v1/threads/**",
        "v1/vector_stores/**",
        "v1/videos/*",
    ),
    *_rules(
        "free",
        "GET HEAD",
        "v1/audio/**",
        "v1/chat/completions",
        "v1/chat/completions/*/messages",
        "v1/containers",
        "v1/files/*/content",
        "v1/fine_tuning/jobs/**",
        "v1/models",
        "v1/responses/*/input_items",
        "v1/videos/*/content",
    ),
    # Known to be the family's, and nothing more: what they cost cannot be told.
    *_rules(
        "unknown",
        "POST",
        "v1/agents",
        "v1/agents/**",
        "v1/chatkit/**",
        "v1/containers",
        "v1/containers/**",
        "v1/decisions",
        "v1/evals/**",
        "v1/fine_tuning/**",
        "v1/live/**",
        "v1/realtime",
        "v1/realtime/**",
    ),
)

_ANTHROPIC_PATHS: Final = (
    *_rules("counts", "POST", "v1/messages/count_tokens"),
    *_rules("generates", "POST", "v1/complete", "v1/messages", "v1/messages/batches"),
    *_rules(
        "free",
        "POST",
        "api/claude_cli/**",
        "api/claude_code/**",
        "api/event_logging/**",
        "api/oauth/**",
        "v1/files",
        "v1/messages/batches/*/cancel",
        "v1/organizations/**",
        "v1/skills",
        "v1/skills/**",
    ),
    *_rules("free", "GET HEAD DELETE", "v1/files/*", "v1/messages/batches/*", "v1/organizations/**", "v1/skills/**"),
    *_rules(
        "free",
        "GET HEAD",
        "api/claude_cli/**",
        "api/claude_code/**",
        "api/hello",
        "api/oauth/**",
        "v1/files/*/content",
        "v1/messages/batches/*/results",
        "v1/models",
        "v1/models/*",
    ),
    *_rules(
        "unknown",
        "POST",
        "v1/agents",
        "v1/agents/**",
        "v1/environments",
        "v1/environments/**",
        "v1/experimental/**",
        "v1/sessions",
        "v1/sessions/**",
    ),
)


def _google_rules(kind: OperationKind, methods: str, *paths: str) -> tuple[PathRule, ...]:
    """Of the Gemini API, which has the same paths in all versions."""
    return _rules(kind, methods, *(f"{version}/{path}" for version in ("v1", "v1alpha", "v1beta") for path in paths))


_GOOGLE_PATHS: Final = (
    *_google_rules(
        "generates",
        "POST",
        "interactions",
        "models/*:batchGenerateContent",
        "models/*:generateAnswer",
        "models/*:generateMessage",
        "models/*:generateText",
        "tunedModels/*:batchGenerateContent",
    ),
    *_google_rules(
        "embeds",
        "POST",
        "cachedContents",
        "models/*:asyncBatchEmbedContent",
        "models/*:predict",
        "models/*:predictLongRunning",
        "tunedModels",
    ),
    *_google_rules("free", "POST", "batches/*:cancel", "files", "interactions/*/cancel"),
    *_google_rules("free", "PATCH", "cachedContents/*", "tunedModels/*"),
    *_google_rules(
        "free",
        "GET HEAD DELETE",
        "batches/*",
        "cachedContents/*",
        "files/*",
        "interactions/*",
        "models/*",
        "tunedModels/**",
    ),
    *_google_rules(
        "free",
        "GET HEAD",
        "batches",
        "cachedContents",
        "files",
        "models",
        "models/*/operations/**",
        "operations/**",
        "tunedModels",
    ),
    *_rules("free", "POST", "upload/v1/files", "upload/v1beta/files"),
)

FAMILIES: Final[Mapping[WireFamily, Family]] = {
    "openai": Family(
        name="openai",
        default_origin="https://api.openai.com",
        key_headers=frozenset({b"authorization"}),
        own_key=(b"authorization", b"Bearer "),
        key_shapes=(b"sk-proj-", b"sk-svcacct-", b"sk-admin-"),
        model_list="/v1/models",
        versioned_paths=("/v1/chat/completions", "/v1/responses"),
        paths=_OPENAI_PATHS,
    ),
    "anthropic": Family(
        name="anthropic",
        default_origin="https://api.anthropic.com",
        key_headers=frozenset({b"authorization", b"x-api-key"}),
        version_header=b"anthropic-version",
        own_key=(b"x-api-key", b""),
        key_shapes=(b"sk-ant-",),
        model_list="/v1/models",
        versioned_paths=("/v1/messages",),
        paths=_ANTHROPIC_PATHS,
    ),
    "google": Family(
        name="google",
        default_origin="https://generativelanguage.googleapis.com",
        key_headers=frozenset({b"authorization", b"x-goog-api-key"}),
        own_key=(b"x-goog-api-key", b""),
        key_shapes=(b"AIza", b"ya29."),
        query_key=b"key",
        model_list="/v1beta/models",
        versioned_paths=("/v1beta/models/MODEL:generateContent",),
        streamed_target="/v1beta/models/MODEL:streamGenerateContent?alt=sse",
        paths=_GOOGLE_PATHS,
    ),
}
#: The headers that say an API's version, and whose clients send them.
VERSION_HEADERS: Final[Mapping[bytes, WireFamily]] = {
    family.version_header: family.name for family in FAMILIES.values() if family.version_header is not None
}


def upstream_path(path: str) -> str:
    """A path as the families' tables have it: `/v1` is added where it stands below no version and is not a family's own exact one."""
    first = path.split("/", 2)[1]
    return path if _VERSION_SEGMENT.match(first) or first in _UNVERSIONED else _VERSION + path


def joined(base_path: str, path: str) -> str:
    """The path that is asked for at a provider whose base URL has a path of its own.

    A base path that says a version (`/openai/v1`, `/v1beta/openai`, `/api/paas/v4`) takes the place of `/v1`, as SDKs join theirs;
    any other (`/api`) stands before it.
    """
    version = _SDK_VERSION.match(path)
    if version is not None and any(map(_VERSION_SEGMENT.match, base_path.split("/"))):
        return base_path + path[version.end() :]
    return base_path + path
