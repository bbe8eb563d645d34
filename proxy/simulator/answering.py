"""Composes the answer: the text, tool calls or refusal, why it ends, and how many tokens it took.

Pure and deterministic. The text depends on the system prompt, the last user text and the index of the choice; a user who
writes `call the tool NAME` gets a call of that tool if the request declares it. Never more tokens than the caller
allowed, reasoning included. Counterparts: `asking.py` says what was asked, the wires put the answer into their format.
"""

import hashlib
import re
from dataclasses import dataclass

import orjson

from proxy.simulator.asking import BYTES_PER_TOKEN, Ask, JsonObject, is_object, tokens_of
from proxy.simulator.scenario import Scenario, without_markers

TOOL_WISH = re.compile(r"call the tool ([A-Za-z0-9_.-]*[A-Za-z0-9_-])", re.IGNORECASE)
REFUSAL = "I'm sorry, but I can't help with that."
ECHOED_CHARS = 160
SYSTEM_CHARS = 60
FILLER = " and so on"

# The wires share no clock and no chance: times and identifiers follow from the number of the call.
FIRST_SECOND = 1_790_000_000


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model wants; `arguments` is JSON text, cut short where the output limit was reached."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `finish` is `stop`, `length`, `tool`, `stop_sequence`, `refusal`, or an ordered reason."""

    text: str
    refusal: str
    tool_calls: tuple[ToolCall, ...]
    finish: str
    stop_sequence: str | None
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """All choices with what they cost in tokens. `input_tokens` includes the cached and written ones."""

    number: int
    model: str
    choices: tuple[Choice, ...]
    pieces_per_choice: int | None
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    usage_order: str

    @property
    def created(self) -> int:
        """Seconds since 1970, made up: one more with every call."""
        return FIRST_SECOND + self.number

    def id(self, prefix: str, length: int = 24) -> str:
        """An identifier such as `chatcmpl-…`, fixed by the number of the call."""
        return made_id(prefix, self.number, length)


def made_id(prefix: str, number: int, length: int = 24) -> str:
    """`prefix` and `length` hexadecimal characters fixed by `prefix` and `number`."""
    return prefix + hashlib.sha256(f"{prefix}{number}".encode()).hexdigest()[:length]


def compose(ask: Ask, scenario: Scenario, number: int) -> Answer:
    """The answer of call `number`."""
    choices = tuple(_choice(ask, scenario, number, index) for index in range(ask.choices))
    cached = min(scenario.cached_tokens, ask.input_tokens)
    return Answer(
        number=number,
        model=scenario.model_answered or ask.model.answers_as,
        choices=choices,
        pieces_per_choice=scenario.events,
        input_tokens=ask.input_tokens,
        cached_tokens=cached,
        cache_write_tokens=min(scenario.cache_write_tokens, ask.input_tokens - cached),
        output_tokens=sum(choice.output_tokens for choice in choices),
        reasoning_tokens=_reasoning(ask, scenario) * len(choices),
        usage_order="none" if scenario.no_usage else scenario.usage,
    )


def pieces_of(text: str, pieces: int | None) -> list[str]:
    """`text` cut into `pieces` nearly equal parts (one a token by default), none of them empty."""
    count = min(len(text), pieces or tokens_of(len(text.encode())))
    return [text[len(text) * i // count : len(text) * (i + 1) // count] for i in range(count)]


def _reasoning(ask: Ask, scenario: Scenario) -> int:
    if ask.max_output_tokens is None:
        return scenario.reasoning_tokens
    return min(scenario.reasoning_tokens, ask.max_output_tokens)


def _choice(ask: Ask, scenario: Scenario, number: int, index: int) -> Choice:
    reasoning = _reasoning(ask, scenario)
    room = None if ask.max_output_tokens is None else ask.max_output_tokens - reasoning
    if not scenario.refuse and (wished := _wished_tools(ask)):
        return _tool_choice(ask, scenario, wished, room, number * 1_000 + index * 100)
    text, stop_sequence = (REFUSAL, None) if scenario.refuse else _text(ask, scenario, reasoning, index)
    shown = _shortened(text, room)
    finish = "refusal" if scenario.refuse else "stop_sequence" if stop_sequence else "stop"
    if shown != text:
        finish, stop_sequence = "length", None
    return Choice(
        text="" if scenario.refuse else shown,
        refusal=shown if scenario.refuse else "",
        tool_calls=(),
        finish=scenario.finish or finish,
        stop_sequence=stop_sequence,
        output_tokens=reasoning + (tokens_of(len(shown.encode())) if shown else 0),
    )


def _text(ask: Ask, scenario: Scenario, reasoning: int, index: int) -> tuple[str, str | None]:
    seen = f"{ask.system}\0{ask.user}\0{ask.tool_result}\0{index}"
    digest = hashlib.sha256(seen.encode("utf-8", "replace")).hexdigest()[:8]
    subject = ask.user if ask.tool_result is None else f"the tool said {ask.tool_result}"
    text = scenario.text or f"Answer {digest}: {without_markers(subject)[:ECHOED_CHARS]}"
    if scenario.echo_system:
        text = f"[system:{ask.system[:SYSTEM_CHARS]}] {text}"
    if scenario.output_tokens is not None:
        text = _sized(text, max(0, scenario.output_tokens - reasoning) * BYTES_PER_TOKEN)
    elif scenario.events is not None and len(text) < scenario.events:
        text = _sized(text, scenario.events * BYTES_PER_TOKEN)
    ends = [(text.find(stop), stop) for stop in ask.stop if stop and stop in text]
    if ends:
        at, stop_sequence = min(ends)
        return text[:at], stop_sequence
    return text, None


def _sized(text: str, size_bytes: int) -> str:
    """`text` with filler or cut to exactly `size_bytes` of UTF-8."""
    filler = FILLER * (size_bytes // len(FILLER) + 1)
    cut = (text + filler).encode()[:size_bytes].decode("utf-8", "ignore")
    return cut + "." * (size_bytes - len(cut.encode()))


def _shortened(text: str, tokens: int | None) -> str:
    if tokens is None or len(text.encode()) <= tokens * BYTES_PER_TOKEN:
        return text
    return text.encode()[: tokens * BYTES_PER_TOKEN].decode("utf-8", "ignore")


def _wished_tools(ask: Ask) -> list[str]:
    if ask.tool_choice == "tool":
        return [ask.tool_named]
    if not ask.tools or ask.tool_choice == "none" or ask.tool_result is not None:
        return []
    wished = [name for name in TOOL_WISH.findall(ask.user) if name in ask.tools]
    if not wished and ask.tool_choice == "any":
        wished = [next(iter(ask.tools))]
    return wished if ask.parallel_tools else wished[:1]


def _tool_choice(ask: Ask, scenario: Scenario, wished: list[str], room: int | None, first: int) -> Choice:
    calls: list[ToolCall] = []
    used = 0
    finish = "tool"
    for position, name in enumerate(wished):
        arguments = orjson.dumps(_arguments(ask.tools.get(name, {}), ask.user)).decode()
        left = None if room is None else room - used - tokens_of(len(name))
        if left is not None and left <= 0:
            finish = "length"
            break
        shown = _shortened(arguments, left)
        used += tokens_of(len(name)) + tokens_of(len(shown.encode()))
        calls.append(ToolCall(made_id("call_", first + position), name, shown))
        if shown != arguments:
            finish = "length"
            break
    return Choice("", "", tuple(calls), scenario.finish or finish, None, used + _reasoning(ask, scenario))


def _arguments(schema: JsonObject, user: str) -> JsonObject:
    """A value for every property of `schema`, by its type."""
    plain: JsonObject = {"number": 1.5, "integer": 1, "boolean": True, "array": [], "object": {}, "null": None}
    text = without_markers(user)[:SYSTEM_CHARS]
    arguments: JsonObject = {}
    properties = schema.get("properties")
    for name, rule in properties.items() if is_object(properties) else ():
        rule = rule if is_object(rule) else {}
        allowed = rule.get("enum")
        arguments[name] = allowed[0] if allowed else plain.get(str(rule.get("type")), text)
    return arguments
