"""What the application needs to know of a wire, so that it can serve both without naming either.

A `Wire` is the functions of one module (`openai.py`, `anthropic.py`) under common names. They are pure: parsed requests
in, JSON and event bytes out, `Refused` raised where the wire's rules are broken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from proxy.simulator.answering import Answer
from proxy.simulator.asking import Ask, JsonObject, Refused
from proxy.simulator.models import Model
from proxy.simulator.scenario import Scenario

Headers = Mapping[str, str]
Models = Mapping[str, Model]


class Frame(NamedTuple):
    """Bytes of a stream that are written at once; pieces of content are paced and counted, the rest is not."""

    data: bytes
    is_piece: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A received request whose body is no JSON, or none that generates anything."""

    method: str
    path: str
    headers: Headers
    body: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One path that generates and bills: how to read its body, and how its answers look."""

    read: Callable[[JsonObject, Headers, Models], Ask]
    whole: Callable[[JsonObject, Ask, Answer], JsonObject]
    frames: Callable[[JsonObject, Ask, Answer], Sequence[Frame]] | None = None
    """None where the wire does not stream here."""
    stream_type: str | None = None
    """Of its streams, and their frames that go wrong, where they are not framed as the wire's others are."""
    error_frame: bytes | None = None
    malformed_frame: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """One provider's wire format."""

    name: str
    answers: Callable[[str, Headers], bool]
    """Whether it answers a call (path, headers) that asks for none of the generations: the first such wire does."""
    check_caller: Callable[[Headers], None]
    """Raises Refused for a caller without a key or with a wrong version."""
    generations: Mapping[str, Generation]
    """By path, POST only; one that depends on its query by both."""
    other: Callable[[Request, Models], JsonObject]
    """Answers everything else: free calls, and Refused for what does not exist."""
    headers: Callable[[int, Ask | None, Scenario], dict[str, str]]
    """The provider's own headers on the answer to call number n."""
    error_body: Callable[[Refused, int], JsonObject]
    error_frame: bytes
    malformed_frame: bytes
    stream_type: str = "text/event-stream; charset=utf-8"
