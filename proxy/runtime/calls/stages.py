"""The stages of a call, a value each: asked -> resolved -> sendable -> attempt -> answered.

A step takes the values of the stages before it and returns the next one, so that it has what it needs or is not reached. Who
refuses a call before a stage is reached tells what is known all the same: `Glimpse` and `Unresolved` stand for the first two then.
A call may make several attempts, of one sendable or of others (another provider, another model), each with a hold, an answer and a
charge of its own. The call's own object is flight.py's, the record of it all recording.py's.
"""

from typing import Final

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolution import PASSED_THROUGH, Resolution
from proxy.core.calls.runs import UsageSource
from proxy.core.errors import BadInput
from proxy.core.scopes import CallFacts
from proxy.core.spending.caps import Cap
from proxy.core.spending.prices import Price
from proxy.runtime.calls.conversations import ChainOfCall
from proxy.runtime.calls.lanes import Lane
from proxy.runtime.calls.routing import Route
from proxy.runtime.process.clock import Clock
from proxy.runtime.providers import Provider
from proxy.runtime.spending.holding import HoldBound, Ticket
from proxy.runtime.transport.exchange import Answer, Reply
from proxy.runtime.transport.header_fields import AnswerFields, agent_lines, stamp_lines
from proxy.runtime.validation.kept_answer import KeptAnswer
from proxy.wires.wire import AnswerFacts, AnswerReader, Injection, RequestFacts


class Asked:
    """Who asks for what. `request` None: nobody here can read the body."""

    __slots__ = ("caller", "problem", "request", "route")

    def __init__(self, route: Route, caller: Caller, request: RequestFacts | None, problem: BadInput | None) -> None:
        self.route = route
        self.caller = caller
        self.request = request
        #: What the wire would refuse, in a call that nothing here depends on: the provider's to judge.
        self.problem = problem


class Glimpse:
    """What can be seen of a call that is refused before it is known who asks for what."""

    __slots__ = ("caller", "request", "route")

    def __init__(self, route: Route | None, caller: Caller, request: RequestFacts | None) -> None:
        self.route = route
        self.caller = caller
        self.request = request


class Resolved:
    """What a call gets, and where it goes."""

    __slots__ = ("facts", "lane", "resolution", "stamps", "unapplied")

    def __init__(
        self, lane: Lane, facts: CallFacts, resolution: Resolution | None, unapplied: Resolution | None = None
    ) -> None:
        self.lane = lane
        #: The Switchback-… lines of the answer that are the same for all such calls.
        self.stamps = lane.stamps
        #: What scopes are matched against.
        self.facts = facts
        #: The version in force; None: none is, as the call names no agent, or its operation has no place for one.
        self.resolution = resolution
        #: The version that would answer if one were in force on this operation.
        self.unapplied = unapplied

    @property
    def agent(self) -> str:
        return self.facts.agent

    @property
    def label(self) -> str | None:
        """Where no version is in force none is claimed."""
        return None

    @property
    def reason(self) -> str | None:
        """Why no version is in force; None: the call names no agent."""
        return None if self.unapplied is None else PASSED_THROUGH

    @property
    def provider(self) -> Provider | None:
        return self.lane.provider


class Unresolved:
    """Whose call it is that is refused before it is resolved, as far as that is known. `agent` None: no agent of that name, or
    none at all; `label`: the one it follows; `resolution`: what it would have got."""

    __slots__ = ("agent", "label", "provider", "reason", "resolution", "stamps")

    def __init__(self, agent: str | None, label: str | None, resolution: Resolution | None) -> None:
        self.agent = agent
        self.label = label
        self.resolution = resolution
        self.reason: str | None = None
        self.provider: Provider | None = None
        self.stamps = b""
        if resolution is not None:
            self.stamps = stamp_lines(resolution)
        elif agent is not None:
            self.stamps = agent_lines(agent, label, None)


class Sendable:
    """What can be sent, where, and what may be spent on it. `injection` None: what came."""

    __slots__ = ("bound", "caps", "injection", "price", "provider")

    def __init__(
        self,
        provider: Provider,
        injection: Injection | None,
        price: Price | None,
        caps: tuple[Cap, ...],
        bound: HoldBound,
    ) -> None:
        self.provider = provider
        self.injection = injection
        self.price = price
        self.caps = caps
        self.bound = bound


class Charge:
    """What an attempt cost, by which price, and how that is known. Nano-dollars."""

    __slots__ = ("cost_nanodollars", "estimated_cost_nanodollars", "price", "source")

    def __init__(
        self,
        source: UsageSource,
        price: Price | None = None,
        cost_nanodollars: int | None = None,
        estimated_cost_nanodollars: int | None = None,
    ) -> None:
        self.source: UsageSource = source
        self.price = price
        self.cost_nanodollars = cost_nanodollars
        #: By the bytes seen, where nobody told a usage.
        self.estimated_cost_nanodollars = estimated_cost_nanodollars


class Answered:
    """An answer whose head is there, and what its bytes tell while they pass."""

    __slots__ = (
        "_clock",
        "_reply",
        "chain",
        "error_class",
        "facts",
        "fields",
        "first_byte_monotonic",
        "kept",
        "stream",
        "takes_events",
    )

    def __init__(self, fields: AnswerFields, reply: Reply, clock: Clock) -> None:
        self._clock = clock
        self._reply = reply
        self.fields = fields
        #: What the reader of an answer that is metered has read so far.
        self.facts: AnswerFacts | None = None
        #: The reader of one that is relayed as it comes, and whether an event of ours can stand between those of the provider.
        self.stream: AnswerReader | None = None
        self.takes_events = False
        #: The copy of an answer that is to be judged.
        self.kept: KeptAnswer | None = None
        #: The chain that it belongs to, where its provider keeps it.
        self.chain: ChainOfCall | None = None
        self.first_byte_monotonic: int | None = None
        #: The error that the provider answered with.
        self.error_class: str | None = None

    def saw_first_byte(self) -> None:
        if self.first_byte_monotonic is None:
            self.first_byte_monotonic = self._clock.monotonic_microseconds()

    def is_whole_all_the_same(self) -> bool:
        """Whether a stream that broke off had told its last event: only the end of its body is missing, which clients do not wait for.
        One whose length was announced cannot be ended before that."""
        return self._is_stream_told() and self.fields.content_length is None

    def has_stream_ended(self) -> bool:
        """Whether the last event of the wire has reached the client: what follows makes no more of this answer, and no less."""
        return self._is_stream_told() and not self._reply.undelivered

    def _is_stream_told(self) -> bool:
        """Whether the last event of the wire has come."""
        stream = self.stream
        return stream is not None and stream.is_stream and stream.facts.is_complete


class AttemptUnderWay:
    """One try at a provider, from its hold to its charge. Moments are of the monotonic clock, in microseconds."""

    __slots__ = ("answer", "answered", "charge", "ended_at", "error_class", "hold", "sendable", "sent_at", "sent_bytes")

    #: When and how it ended: of one that others follow, and not there before.
    ended_at: int
    error_class: str | None

    def __init__(self, sendable: Sendable, hold: Ticket) -> None:
        self.sendable = sendable
        self.hold = hold
        #: None: nothing was sent.
        self.sent_at: int | None = None
        self.sent_bytes = 0
        self.answer: Answer | None = None
        self.answered: Answered | None = None
        #: None: it cost nothing.
        self.charge: Charge | None = None


NOBODY: Final = Caller(agent=None)
UNSEEN: Final = Glimpse(None, NOBODY, None)
UNRESOLVED: Final = Unresolved(None, None, None)
UNMETERED_CHARGE: Final = Charge("unmetered")
