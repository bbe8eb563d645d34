"""The Wire protocol: what the request conductor needs from a provider format, and the values that cross over.

A wire is pure: what it remembers it could work out again. Per call the conductor asks, in this order: `operation` (is this path mine, and what is it),
`read` (facts of the request), `inject` (the request with the version in it), `answer_reader` (an object that lives for one
answer and sees its bytes, framed however the wire frames them). Everything a version does not mention passes byte for byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from proxy.core.calls.caller import BodyClaims
from proxy.core.calls.runs import Finish
from proxy.core.errors import Refusal
from proxy.core.spending.usage import Usage
from proxy.core.steps import Steps
from proxy.core.versions.components import Bundle

#: Header fields in their order: names in lower case, duplicates kept.
Headers = list[tuple[bytes, bytes]]

WireFamily = Literal["openai", "anthropic", "google"]
#: What a call asks for. generates: text, which a prompt of a version could have had a part in; embeds: something that has no
#: place for one (vectors, pictures, sound, a transcript, a trained model); counts: tokens, at no cost; free: nothing that
#: costs; unknown: nobody can tell, so it may cost, and may generate.
OperationKind = Literal["generates", "embeds", "counts", "free", "unknown"]
#: The content type of server-sent events, the framing of most wires.
EVENT_STREAM: Final = b"text/event-stream"
_NO_MODELS: Final[frozenset[str]] = frozenset()
_NONE: Final[Mapping[str, str]] = {}
_AS_THEY_CAME: Final[Mapping[bytes, bytes | None]] = {}


@dataclass(init=False, slots=True)
class RequestHead:
    """What stands before a body. `target` is what would be sent upstream: without the agent's prefix, with its query."""

    method: str
    target: bytes
    headers: Headers

    def __init__(self, method: str, target: bytes, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.headers = headers


#: For a body that stands alone.
NO_HEAD: Final = RequestHead("POST", b"", [])


@dataclass(init=False, slots=True)
class Operation:
    """What a path asks of a provider. `path` is the canonical one sent upstream, such as `/v1/chat/completions`."""

    name: str
    path: str
    kind: OperationKind
    #: Whether a wire reads the request and the answer's usage; other calls pass through untouched.
    is_metered: bool
    #: Whether a version reaches the provider: its prompt, model and parameters. Where not, no version is claimed.
    is_in_force: bool
    #: Whether the answer is text whose length can be bounded.
    has_output: bool
    #: Whether a call can cost money; only billable calls are refused by caps.
    is_billable: bool
    #: Whether a version could have had a say: what is not in force there is refused rather than passed in silence.
    could_apply: bool
    #: Whether a version that names a model for embeddings, and none that does not, is in force: with that model alone.
    takes_embeddings_model: bool
    #: Whether the provider keeps the answer under an id, with which the next call may go on.
    begins_chains: bool

    def __init__(
        self,
        name: str,
        path: str,
        kind: OperationKind,
        *,
        is_metered: bool = False,
        is_in_force: bool = False,
        has_output: bool = False,
        takes_embeddings_model: bool = False,
        begins_chains: bool = False,
    ) -> None:
        self.name = name
        self.path = path
        self.kind = kind
        self.is_metered = is_metered
        self.is_in_force = is_in_force
        self.has_output = has_output
        self.is_billable = kind not in ("free", "counts")
        self.could_apply = not is_in_force and kind in ("generates", "unknown")
        self.takes_embeddings_model = takes_embeddings_model
        self.begins_chains = begins_chains


@dataclass(init=False, slots=True)
class RequestFacts:
    """What a wire read from a request body; `document` is the wire's own view of it, handed back to `inject`."""

    claims: BodyClaims
    model: str | None
    streamed: bool
    #: Answers asked for (`n`); each may use the whole output bound.
    choices: int
    #: The caller's own output bound, if it sent one.
    max_output_tokens: int | None
    tool_names: frozenset[str]
    document: Any
    #: Models that it brings beside `model`.
    further_models: frozenset[str]
    #: Whether the stream asked for is one JSON list, whose items are what a stream's events would be.
    streams_list: bool

    def __init__(
        self,
        *,
        claims: BodyClaims,
        model: str | None,
        streamed: bool,
        choices: int,
        max_output_tokens: int | None,
        tool_names: frozenset[str],
        document: Any,
        further_models: frozenset[str] = _NO_MODELS,
        streams_list: bool = False,
    ) -> None:
        self.claims = claims
        self.model = model
        self.streamed = streamed
        self.choices = choices
        self.max_output_tokens = max_output_tokens
        self.tool_names = tool_names
        self.document = document
        self.further_models = further_models
        self.streams_list = streams_list


@dataclass(init=False, slots=True)
class Injection:
    """What to send upstream, and what was decided on the way. `body` still is the caller's where nothing applies."""

    body: bytes
    model: str | None
    #: The output bound that is now in the body; None: unbounded.
    max_output_tokens: int | None
    #: Parameters of the version that this model or wire no longer takes, left out.
    dropped_parameters: tuple[str, ...]
    #: The proxy asked for the stream's usage and takes exactly that event out of the answer again.
    removes_usage_event: bool
    #: Variables the caller sent that the prompt does not declare.
    ignored_variables: int
    #: A service tier or speed with a price of its own (`priority`, `flex`, `fast`), None for the ordinary one.
    service_tier: str | None
    #: Web searches that are billed with the call though no usage tells them.
    web_searches: int
    #: Why nothing bounds what the call costs, whatever it asks; None: something does.
    unbounded_because: str | None
    #: What is asked for instead of the route's target; None: that. Joined to the provider's base URL like it.
    target: bytes | None
    #: Header fields (lower case) in the place of the caller's of those names; a value of None takes them out. Never credentials.
    headers: Mapping[bytes, bytes | None]
    #: The wire's own view of the body, handed back to `input_tokens_bound`.
    document: Any

    def __init__(
        self,
        *,
        body: bytes,
        model: str | None,
        max_output_tokens: int | None,
        dropped_parameters: tuple[str, ...] = (),
        removes_usage_event: bool = False,
        ignored_variables: int = 0,
        service_tier: str | None = None,
        web_searches: int = 0,
        unbounded_because: str | None = None,
        target: bytes | None = None,
        headers: Mapping[bytes, bytes | None] = _AS_THEY_CAME,
        document: Any = None,
    ) -> None:
        self.body = body
        self.model = model
        self.max_output_tokens = max_output_tokens
        self.dropped_parameters = dropped_parameters
        self.removes_usage_event = removes_usage_event
        self.ignored_variables = ignored_variables
        self.service_tier = service_tier
        self.web_searches = web_searches
        self.unbounded_because = unbounded_because
        self.target = target
        self.headers = headers
        self.document = document


@dataclass(frozen=True, slots=True)
class BilledApart:
    """What a call that is more than text may be billed beside its tokens of text."""

    has_audio: bool
    #: The most web searches it can make; None: nothing bounds them.
    web_searches: int | None
    #: How often the model may read its input, as it does again after each use of a tool of the provider's; None: nothing bounds it.
    rounds: int | None = 1
    #: What it may use that has a fee which no price list knows; None: nothing.
    unpriced: str | None = None
    #: The most searches of stored files it can make.
    file_searches: int = 0


@dataclass(init=False, slots=True)
class InjectionPlan:
    """What the conductor wants injected; `bundle` None (no agent named): only usage asking and the output ceiling."""

    bundle: Bundle | None
    variables: Mapping[str, str]
    #: The configured ceiling for calls under a hard cap that bound their output nowhere; None: no such cap applies.
    output_ceiling: int | None
    #: The value of the request header that says the API's version and changes the format, where the family has one.
    wire_version: str | None
    #: Whether a stream's usage is asked for where the caller did not.
    asks_usage: bool
    #: What the provider keeps of the conversation has the version's messages already.
    is_continued: bool

    def __init__(
        self,
        *,
        bundle: Bundle | None,
        variables: Mapping[str, str] = _NONE,
        output_ceiling: int | None = None,
        wire_version: str | None = None,
        asks_usage: bool = True,
        is_continued: bool = False,
    ) -> None:
        self.bundle = bundle
        self.variables = variables
        self.output_ceiling = output_ceiling
        self.wire_version = wire_version
        self.asks_usage = asks_usage
        self.is_continued = is_continued


@dataclass(init=False, slots=True)
class AnswerFacts:
    """What has been read from an answer so far. Filled while bytes pass; complete when `is_complete` says so."""

    model: str | None
    #: The service tier or speed that was served, where the answer tells it.
    service_tier: str | None
    usage: Usage | None
    #: The largest counts told so far, also where a total is missing or the answer broke off: no estimate is lower.
    told_usage: Usage | None = field(compare=False)
    finish: Finish | None
    refusal: bool
    tool_calls: list[str]
    #: UTF-8 bytes of answer text and tool arguments seen, for an estimate where usage never came.
    output_bytes: int
    #: The protocol's own end marker was seen ([DONE], message_stop), or a whole body was read.
    is_complete: bool
    #: An error event inside a 2xx stream, by its stable type (`overloaded_error`).
    error_type: str | None
    #: Events or members that could not be read; they passed through all the same.
    unreadable: int
    #: What was asked for is made later, and what it costs is told elsewhere.
    is_deferred: bool
    #: Under which id the provider keeps it; None: under none that is known.
    response_id: str | None

    def __init__(
        self,
        *,
        model: str | None = None,
        service_tier: str | None = None,
        usage: Usage | None = None,
        finish: Finish | None = None,
        refusal: bool = False,
        tool_calls: list[str] | None = None,
        output_bytes: int = 0,
        is_complete: bool = False,
        error_type: str | None = None,
        unreadable: int = 0,
        is_deferred: bool = False,
    ) -> None:
        self.model = model
        self.service_tier = service_tier
        self.usage = usage
        self.told_usage = None
        self.finish = finish
        self.refusal = refusal
        self.tool_calls = [] if tool_calls is None else tool_calls
        self.output_bytes = output_bytes
        self.is_complete = is_complete
        self.error_type = error_type
        self.unreadable = unreadable
        self.is_deferred = is_deferred
        self.response_id = None

    @property
    def is_bare_error(self) -> bool:
        """Whether an error came in the place of an answer, of which there is nothing."""
        has_answer = (
            self.output_bytes > 0 or self.usage is not None or self.model is not None or self.finish is not None
        )
        return self.error_type is not None and not has_answer


class AnswerReader(Protocol):
    """Sees one answer. For a stream `feed` returns what goes to the client; nothing is ever re-encoded."""

    facts: AnswerFacts

    @property
    def is_stream(self) -> bool:
        """Whether what came is a stream: an event of it was read."""
        ...

    def feed(self, piece: bytes) -> bytes:
        """Read a piece; return the bytes to pass on now (the same object where nothing is removed)."""
        ...

    def finish(self) -> bytes:
        """The answer ended cleanly: return held-back bytes, and settle the facts."""
        ...

    def held_back(self) -> bytes:
        """The answer broke: what came and was not passed on yet."""
        ...

    @property
    def takes_event(self) -> bool:
        """Whether what was passed on so far ends between two events of a stream that has not said its end."""
        ...


class Wire(Protocol):
    """One provider format. `name` goes to runs (`openai_chat`), `family` groups wires a provider speaks together."""

    name: str
    family: WireFamily
    #: The content type of its streams, lower case, without parameters: how they are framed is the answer reader's matter.
    stream_type: bytes
    #: Whether a call is one conversation with a model: a version's prompt and parameters have a place there, and no more is read than
    #: one context window holds.
    is_conversation: bool

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of a raw path below the agent prefix (`/v1/...` or without `/v1`), None if it is not this wire's."""
        ...

    def read(self, body: bytes, head: RequestHead = NO_HEAD, /) -> RequestFacts:
        """Facts of a metered request. Raises BadInput (malformed JSON, not an object, duplicate member, ...)."""
        ...

    def read_in_steps(self, body: bytes, head: RequestHead = NO_HEAD, /) -> Steps[RequestFacts]:
        """As `read`, with pauses, for a large body."""
        ...

    def inject(self, request: RequestFacts, plan: InjectionPlan) -> Injection:
        """The request with the version in it. Raises BadInput (missing variable, ...)."""
        ...

    def input_tokens_bound(self, injection: Injection) -> int | None:
        """An upper bound of the input tokens of an injected body; None where the proxy cannot see all of the input."""
        ...

    def billed_apart(self, injection: Injection) -> BilledApart:
        """What an injected body may be billed beside text. Asked only of a conversation, where `input_tokens_bound` is None."""
        ...

    def answer_reader(self, *, streamed: bool, removes_usage_event: bool) -> AnswerReader:
        """A reader for one 2xx answer. `streamed`: a stream was asked for, or the content type says that one comes."""
        ...

    def answer_text(self, answer: bytes) -> str | None:
        """The text of a finished 2xx answer that was kept whole, stream or document, as its reader saw it; None where nobody can
        tell it. Asked off the path of calls."""
        ...

    def error_status(self, refusal: Refusal) -> int:
        """The HTTP status a refusal is told with on this wire."""
        ...

    def error_body(self, refusal: Refusal, request_id: str) -> bytes:
        """A refusal as the provider's own error JSON."""
        ...

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """A refusal as the event with which a provider breaks off a stream; it goes between two events."""
        ...

    def smallest_call(self, model: str) -> bytes:
        """The smallest body that asks a model something: what a version makes of it shows what the model does not take."""
        ...

    def text_reply(self, text: str, *, model: str, reply_id: str, created: int, streamed: bool) -> bytes:
        """A fixed text as a valid completion, or as a whole valid stream. `created` is UTC seconds since 1970."""
        ...
