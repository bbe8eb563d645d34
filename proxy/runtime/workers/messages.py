"""What owner and workers tell each other, as typed values in MessagePack. No behaviour; framing is frames.py's.

Core values travel as they are (msgspec knows dataclasses), so a field added to one of them needs nothing here. Messages of
one direction arrive in the order they were sent; the whole protocol leans on that: whoever answers a Ping has acted on
everything before it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.core.calls.chains import ChainBeginning
from proxy.core.calls.runs import Attempt, Run
from proxy.core.errors import Refusal
from proxy.core.rollouts.drills import DrillCalls, DrillOrder
from proxy.core.scopes import CallFacts
from proxy.core.snapshot import AgentState, Snapshot
from proxy.core.spending.caps import CounterKey
from proxy.core.switches import Switch
from proxy.core.versions.versions import Version
from proxy.runtime.spending.holding import HoldBound, Spent

#: The value of one sample, by family, name of the sample and labels.
SampleKey = tuple[str, str, tuple[tuple[str, str], ...]]


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One message. `request` ties an answer to its question."""


class Conversation(Message, frozen=True, array_like=True, tag=True):
    """A conversation of an agent began on an arm of a rollout, or goes on there. Goes both ways."""

    agent: str
    rollout: str
    conversation: str
    arm: str
    at_microseconds: int


# From the owner


class NameIs(Message, frozen=True, array_like=True, tag=True):
    """As what a provider's model answers."""

    provider: str
    asked: str
    answered: str


class Welcome(Message, frozen=True, array_like=True, tag=True):
    """The first message. `settings` as `settings.settings_bytes` writes them, secrets included."""

    number: int
    settings: bytes


class SnapshotIs(Message, frozen=True, array_like=True, tag=True):
    """The next snapshot: `rest` is all of it but the agents, of which only those come that differ from the last one sent."""

    rest: Snapshot
    agents: tuple[AgentState, ...]
    gone: tuple[str, ...]


class Serve(Message, frozen=True, array_like=True, tag=True):
    """Everything a worker has to know is sent: take calls."""


class CutCalls(Message, frozen=True, array_like=True, tag=True):
    """Break off the calls in flight that a switch matches."""

    switch: Switch


class Drain(Message, frozen=True, array_like=True, tag=True):
    """Take no more calls, finish the running ones, hand over what is left, exit."""


class Ping(Message, frozen=True, array_like=True, tag=True):
    """Answer with a Pong at once."""

    request: int


class SamplesWanted(Message, frozen=True, array_like=True, tag=True):
    """Answer with Samples soon."""

    request: int


class RunsWanted(Message, frozen=True, array_like=True, tag=True):
    """Hand over the runs finished so far, then answer with RunsAreOver."""

    request: int


class DrillWanted(Message, frozen=True, array_like=True, tag=True):
    """Make the calls of a drill. Answered by DrillBegun, where it comes to that, and by DrillOver."""

    request: int
    order: DrillOrder


class Granted(Message, frozen=True, array_like=True, tag=True):
    """A hold is placed and durable. `nanodollars`: the largest usd hold, None where no usd cap touches the call."""

    request: int
    nanodollars: int | None


class LeaseGiven(Message, frozen=True, array_like=True, tag=True):
    """The worker may hold so much more in a counter without asking. Not answered; what its calls take is told by OwnHolds."""

    key: CounterKey
    amount: int


class LeasesEnded(Message, frozen=True, array_like=True, tag=True):
    """What the worker has left in these counters is given back. A Ping follows: its answer says that it is."""

    keys: tuple[CounterKey, ...]


class Recorded(Message, frozen=True, array_like=True, tag=True):
    """The owner has taken a batch of runs over."""

    request: int


class VersionIs(Message, frozen=True, array_like=True, tag=True):
    """A pinned version, None where there is none of that number."""

    request: int
    version: Version | None


class ChainIs(Message, frozen=True, array_like=True, tag=True):
    """Where a chain began, None where nobody knows."""

    request: int
    began: ChainBeginning | None


class Refused(Message, frozen=True, array_like=True, tag=True):
    """The owner refuses what was asked: a Refusal's members."""

    request: int
    code: str
    message: str
    status: int
    param: str | None
    retry_after_seconds: int | None

    @classmethod
    def of(cls, request: int, refusal: Refusal) -> "Refused":
        return cls(request, refusal.code, refusal.message, refusal.status, refusal.param, refusal.retry_after_seconds)

    def refusal(self) -> Refusal:
        """To be raised where the question was asked."""
        return Refusal(
            self.code,
            self.message,
            status=self.status,
            param=self.param,
            retry_after_seconds=self.retry_after_seconds,
        )


# From a worker


class Ready(Message, frozen=True, array_like=True, tag=True):
    """The parts are built; from now on the worker counts among those that must confirm."""


class Listening(Message, frozen=True, array_like=True, tag=True):
    """Calls are taken."""


class Pong(Message, frozen=True, array_like=True, tag=True):
    """Everything sent before the Ping is in force here."""

    request: int
    revision: int
    in_flight: int


class HoldWanted(Message, frozen=True, array_like=True, tag=True):
    """Hold `bound` in every cap that matches `facts`. Answered by Granted or Refused."""

    request: int
    attempt: str
    facts: CallFacts
    bound: HoldBound


class Settled(Message, frozen=True, array_like=True, tag=True):
    """What an attempt came to. Not answered."""

    attempt: str
    spent: Spent


class OwnHold(msgspec.Struct, frozen=True, array_like=True):
    """What an attempt took of the worker's leases."""

    attempt: str
    placed_at_microseconds: int
    amounts: tuple[tuple[CounterKey, int], ...]


class OwnHolds(Message, frozen=True, array_like=True, tag=True):
    """What calls held without asking since the last one, and what such calls came to, in that order. Not answered. Anything but
    log lines that is sent later is later than this, too."""

    placed: tuple[OwnHold, ...]
    settled: tuple[tuple[str, Spent], ...]


class Leaving(Message, frozen=True, array_like=True, tag=True):
    """The worker stops. It has used what OwnHolds told and uses no lease any more, not even one still on its way to it."""


class RunsFinished(Message, frozen=True, array_like=True, tag=True):
    """Runs to be recorded and logged. Answered by Recorded."""

    request: int
    runs: tuple[Run, ...]
    attempts: tuple[Attempt, ...]


class Validated(Message, frozen=True, array_like=True, tag=True):
    """What validators found about the answer of a run. Not answered."""

    run: str
    agent: str
    passed: bool | None
    why: str


class RunsAreOver(Message, frozen=True, array_like=True, tag=True):
    """Every run finished before it was asked is handed over, if it could be."""

    request: int


class DrillBegun(Message, frozen=True, array_like=True, tag=True):
    """The candidate of a drill answered."""

    request: int


class DrillOver(Message, frozen=True, array_like=True, tag=True):
    """What the calls of a drill came to."""

    request: int
    calls: DrillCalls


class VersionWanted(Message, frozen=True, array_like=True, tag=True):
    """Answered by VersionIs or Refused."""

    request: int
    agent: str
    number: int


class ChainWanted(Message, frozen=True, array_like=True, tag=True):
    """Answered by ChainIs."""

    request: int
    agent: str
    chain: str


class ChainBegan(Message, frozen=True, array_like=True, tag=True):
    """Where a chain of responses began, by the id that its provider gave it. The owner keeps it, and tells who asks."""

    chain: str
    began: ChainBeginning
    at_microseconds: int


class Samples(Message, frozen=True, array_like=True, tag=True):
    """Metric values that changed since the last time. `request` None: on the worker's own time."""

    request: int | None
    changed: tuple[tuple[SampleKey, float], ...]


class LogLines(Message, frozen=True, array_like=True, tag=True):
    """Whole lines for the owner's log."""

    lines: bytes


FromOwner = (
    Welcome
    | SnapshotIs
    | Conversation
    | NameIs
    | Serve
    | CutCalls
    | Drain
    | Ping
    | SamplesWanted
    | RunsWanted
    | DrillWanted
    | Granted
    | LeaseGiven
    | LeasesEnded
    | Recorded
    | VersionIs
    | ChainIs
    | Refused
)
Answer = Granted | Recorded | VersionIs | ChainIs | Refused
FromWorker = (
    Ready
    | Listening
    | Pong
    | HoldWanted
    | Settled
    | OwnHolds
    | Leaving
    | RunsFinished
    | RunsAreOver
    | Validated
    | DrillBegun
    | DrillOver
    | VersionWanted
    | ChainWanted
    | Samples
    | LogLines
    | Conversation
    | ChainBegan
)

_encoder = msgspec.msgpack.Encoder()
_from_owner: msgspec.msgpack.Decoder[FromOwner] = msgspec.msgpack.Decoder(FromOwner)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: Message) -> bytes:
    """Raises UnicodeEncodeError or OverflowError for a text or number that no store would take either."""
    return _encoder.encode(message)


def decode_from_owner(body: bytes) -> FromOwner:
    """Raises msgspec.DecodeError."""
    return _from_owner.decode(body)


def decode_from_worker(body: bytes) -> FromWorker:
    """Raises msgspec.DecodeError."""
    return _from_worker.decode(body)


def labels_of(labels: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Labels of a sample in a form that can be a key."""
    return tuple(labels.items())
