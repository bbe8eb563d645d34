"""Reading answers of OpenAI Responses: usage, finish, refusals, tool calls, errors, the end of a stream.

Belongs here: what one event or one response says. Its usage is openai_responses/usage.py, how a stream is cut and passed on
answer_reading.py. Counterpart: openai_chat/answer.py.

Protocol facts: events have names and numbers; there is no end marker but the last event itself (`response.completed`,
`response.incomplete` or `response.failed`), which carries the whole response with its usage. Earlier ones carry it too, without
one, and with the tier asked for, not the one served. Events that end in `.delta` bring content, those that end in `.done` bring
the same once more. `error` comes flat, or as an object. A response that is made in the background is answered before it is begun.
"""

from typing import Any, Final

import msgspec

from proxy.core.calls.runs import Finish
from proxy.core.spending.usage import larger_usage
from proxy.wires.json.values import RawJson
from proxy.wires.openai_responses.shapes import Event, Item, Part, Response
from proxy.wires.openai_responses.usage import ToolUses, parts_of, usage_of
from proxy.wires.shared.answer_reading import error_type_of, text_bytes
from proxy.wires.shared.plain_deltas import MAX_PLAIN_BYTES
from proxy.wires.wire import AnswerFacts

_DONE: Final = b"[DONE]"
_BEGINNINGS: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_ITEMS: Final = frozenset({"response.output_item.added", "response.output_item.done"})
_DELTA: Final = ".delta"
#: Letters of sound.
_SOUND: Final = "response.audio.delta"
_REFUSAL: Final = "response.refusal.delta"
#: Of an id that a call may go on with.
MAX_ID_CHARACTERS: Final = 512
_NOT_ENDED: Final = frozenset({"queued", "in_progress"})
_INCOMPLETE: Final[dict[str, Finish]] = {"max_output_tokens": "length", "content_filter": "filtered"}
#: Calls that the caller has to answer: with one of them it is its turn.
_CALLERS_TURN: Final = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "apply_patch_call",
        "computer_call",
        "mcp_approval_request",
        "shell_call",
    }
)
#: What the provider adds where it ran a shell of its own.
_OWN_SHELL: Final = "shell_call_output"
#: Calls of the provider's own tools that have a fee which no price list here knows.
_UNPRICED: Final = frozenset({"code_interpreter_call", "image_generation_call", _OWN_SHELL})
_SEARCH: Final = "web_search_call"
_FILE_SEARCH: Final = "file_search_call"

_event: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_response: Final[msgspec.json.Decoder[Response]] = msgspec.json.Decoder(Response)
_item: Final[msgspec.json.Decoder[Item]] = msgspec.json.Decoder(Item)
_items: Final[msgspec.json.Decoder[list[Item]]] = msgspec.json.Decoder(list[Item])
_raw_items: Final[msgspec.json.Decoder[list[msgspec.Raw]]] = msgspec.json.Decoder(list[msgspec.Raw])
_parts: Final[msgspec.json.Decoder[list[Part]]] = msgspec.json.Decoder(list[Part])


class _Responses:
    """What events and whole responses have in common."""

    __slots__ = ("_file_searches", "_is_callers_turn", "_searches", "_seen_items", "_unpriced_calls", "facts")

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        self._seen_items: set[Any] = set()
        self._is_callers_turn = False
        self._searches = 0
        self._file_searches = 0
        self._unpriced_calls = 0

    def read_body(self, body: bytes) -> None:
        """Fill the facts from a whole response, or from an error in its place."""
        response = self._decoded(body)
        if response is None:
            return
        self._read_end(response)
        self.settle()

    def settle(self) -> None:
        """Nothing is left to be put together."""

    def _decoded(self, raw: RawJson) -> Response | None:
        try:
            return _response.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.unreadable += 1
            return None

    def _read_model(self, response: Response) -> None:
        facts = self.facts
        if facts.model is None and isinstance(response.model, str) and response.model:
            facts.model = response.model
        name = response.id
        if facts.response_id is None and isinstance(name, str) and response.store is not False:
            facts.response_id = name if 0 < len(name) <= MAX_ID_CHARACTERS else None

    def _read_end(self, response: Response) -> None:
        """A response that is not going to change any more; one that will is known by its status."""
        facts = self.facts
        self._read_model(response)
        facts.is_deferred = isinstance(response.status, str) and response.status in _NOT_ENDED
        if isinstance(response.service_tier, str):
            facts.service_tier = response.service_tier
        if response.error:
            facts.error_type = error_type_of(response.error)
        self._read_output(response.output)
        if response.has_usage:
            self._read_usage(response)
        self._read_finish(response)

    def _read_usage(self, response: Response) -> None:
        """The usage of an end, no lower than an earlier one."""
        is_whole = self._read_told(response)
        told = self.facts.told_usage
        if told is not None:
            used = ToolUses(self._searches, self._file_searches, self._unpriced_calls)
            told.parts = parts_of(told.parts, used, response.tool_usage)
        self.facts.usage = told if is_whole else None

    def _read_told(self, response: Response) -> bool:
        """Keep what a usage tells; whether both totals are among it."""
        usage, is_whole, is_sound = usage_of(response.usage)
        self.facts.unreadable += not is_sound
        if usage is not None:
            self.facts.told_usage = larger_usage(self.facts.told_usage, usage)
        return is_whole

    def _read_finish(self, response: Response) -> None:
        facts = self.facts
        if response.status == "completed":
            facts.finish = "tool_call" if self._is_callers_turn else "refused" if facts.refusal else "stop"
        elif response.status == "incomplete":
            details = response.incomplete_details
            reason = details.get("reason") if isinstance(details, dict) else None  # type: ignore[misc] # of any kind
            facts.finish = _INCOMPLETE.get(reason, "other") if isinstance(reason, str) else "other"
        elif response.status == "failed":
            facts.error_type = facts.error_type or "error"
        elif response.status == "cancelled":
            facts.finish = "other"

    def _read_output(self, raw: RawJson) -> None:
        """The items of an output; what was seen before is not counted again."""
        if not len(raw):
            return
        counts_text = not self.facts.output_bytes
        for index, item in enumerate(self._items_of(raw)):
            self._read_item(index, item)
            if counts_text:
                self._read_content(item)

    def _items_of(self, raw: RawJson) -> list[Item]:
        try:
            return _items.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.facts.unreadable += 1
        try:
            # One of them is odd: the others are told all the same.
            found = [_item_or_none(one) for one in _raw_items.decode(raw)]
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return []
        return [item for item in found if item is not None]

    def _read_item(self, index: Any, item: Item) -> None:
        """What an item is; its content comes apart. An item is told when it begins, when it is done, and at the end."""
        kind, key = item.type, index if isinstance(index, int) else str(item.id)
        if not isinstance(kind, str) or key in self._seen_items:
            return
        self._seen_items.add(key)
        if kind in _CALLERS_TURN or kind == _OWN_SHELL:
            self._is_callers_turn = kind != _OWN_SHELL
        if kind == _SEARCH:
            self._searches += 1
        elif kind == _FILE_SEARCH:
            self._file_searches += 1
        elif kind in _UNPRICED:
            self._unpriced_calls += 1
        if kind.endswith("_call"):
            is_named = isinstance(item.name, str) and item.name
            self.facts.tool_calls.append(item.name if is_named else kind.removesuffix("_call"))

    def _read_content(self, item: Item) -> None:
        facts = self.facts
        facts.output_bytes += text_bytes(item.arguments) + text_bytes(item.input)
        if not len(item.content):
            return
        try:
            parts = _parts.decode(item.content)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return  # reasoning has none, and says so with null
        for part in parts:
            if part.type == "refusal":
                facts.refusal = True
            facts.output_bytes += text_bytes(part.text) + text_bytes(part.refusal)


class ResponseEvents(_Responses):
    """Reads the events of one stream (an EventReader)."""

    __slots__ = ("_last",)

    #: What may be large is passed over, not built.
    builds_parts: bool = False
    answer_member: bytes = b'"response"'

    def __init__(self) -> None:
        super().__init__()
        self._last: Event | None = None

    def read_event(self, data: bytes) -> bool:
        """Read one event. This wire always tells its usage, so nothing is ever taken out."""
        self._last = None
        facts = self.facts
        if facts.is_complete:
            return False
        try:
            event = _event.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            if len(data) < 16 and data.strip() == _DONE:
                facts.is_complete = True  # some servers say it behind every stream
            else:
                facts.unreadable += 1
            return False
        if isinstance(event.type, str) and event.type.endswith(_DELTA):
            self._read_delta(event)
            self._last = event if len(data) <= MAX_PLAIN_BYTES else None
        else:
            self._read_rarer(event)
        return False

    def only_text(self) -> tuple[bytes, str] | None:
        """The member and the text of the event read last, where it brought nothing but that text."""
        last = self._last
        if last is None or last.type == _REFUSAL or last.type == _SOUND or not isinstance(last.delta, str):
            return None
        return b"delta", last.delta

    def _read_delta(self, event: Event) -> None:
        if event.type != _SOUND:
            self.facts.output_bytes += text_bytes(event.delta)
        if event.type == _REFUSAL:
            self.facts.refusal = True

    def _read_rarer(self, event: Event) -> None:
        kind = event.type
        if kind == "error" or not isinstance(kind, str):
            if event.error or kind == "error":
                self.facts.error_type = error_type_of(event.error or {"code": event.code})
        elif kind in _ITEMS:
            if (item := _item_or_none(event.item)) is not None:
                self._read_item(event.output_index, item)
        elif kind in _BEGINNINGS:
            self._read_beginning(event)
        elif kind in _ENDS:
            self._read_last(event)

    def _read_beginning(self, event: Event) -> None:
        response = self._decoded(event.response)
        if response is not None:
            self._read_model(response)
            if response.has_usage:
                # Some servers count as they go: it is no usage before the end.
                self._read_told(response)
            # Made in the background it goes on without this stream.
            self.facts.is_deferred = response.background is True

    def _read_last(self, event: Event) -> None:
        self.facts.is_complete = True
        response = self._decoded(event.response)
        if response is not None:
            self._read_end(response)
            self.facts.is_deferred = False


class ResponseBody(_Responses):
    """Reads one whole response (a BodyReader)."""

    __slots__ = ()


def _item_or_none(raw: RawJson) -> Item | None:
    try:
        return _item.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
