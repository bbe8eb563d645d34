"""Reading Gemini answers: usage, finish, blocked prompts, calls of tools, errors, the end of a stream.

Belongs here: what one answer, or one piece of a stream, says. How a stream of events is cut is shared/answer_reading.py, how one that
is a list google_gemini/lists.py. Counterpart: anthropic_messages/answer.py.

Protocol facts: a stream's pieces are whole answers with a part of the text each. `usageMetadata` may stand in every one and tells totals
so far. `promptTokenCount` includes what came from a cache, not what the provider's own tools read (`toolUsePromptTokenCount`);
`candidatesTokenCount` does not include thoughts. A count of zero is left out. A stream has no end marker: it is whole where each answer
in it has said why it ends, or the prompt was blocked. A blocked prompt has no candidates, and `promptFeedback` says why.

Decision: no usage is taken for the call's own before its answer has ended: those of earlier pieces are smaller, and a stream that broke
there would look metered.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from proxy.core.calls.runs import Finish
from proxy.core.spending.usage import Usage, larger_usage
from proxy.wires.google_gemini.model_rules import searches_by_prompt
from proxy.wires.google_gemini.places import plain_model
from proxy.wires.google_gemini.shapes import Candidate, Frame, Part, Response
from proxy.wires.shared.answer_reading import TokenCounts, parts_of, text_bytes
from proxy.wires.shared.odd_answers import is_any_told_twice, told_at_largest
from proxy.wires.wire import AnswerFacts

_STOP: Final = "STOP"
_FINISHES: Final[Mapping[str, Finish]] = {
    _STOP: "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "paused",
    **dict.fromkeys(
        (
            "BLOCKLIST",
            "ESCALATION",
            "IMAGE_OTHER",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "IMAGE_SAFETY",
            "LANGUAGE",
            "MODEL_ARMOR",
            "PROHIBITED_CONTENT",
            "RECITATION",
            "SAFETY",
            "SPII",
        ),
        "filtered",
    ),
}
#: Says nothing yet.
_UNSAID: Final = frozenset({"", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})
#: Names of which an answer has one each.
_USAGE_NAMES: Final = (
    b'"usageMetadata"',
    b'"promptTokenCount"',
    b'"candidatesTokenCount"',
    b'"thoughtsTokenCount"',
    b'"totalTokenCount"',
)
#: What a stream without `index` means.
_FIRST: Final = 0

_response: Final[msgspec.json.Decoder[Response]] = msgspec.json.Decoder(Response)
_frame: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame)


class GeminiAnswer:
    """Reads one answer, whole (a BodyReader) or piece by piece (an EventReader)."""

    __slots__ = ("_ended", "_is_reported", "_searches", "_seen", "_used", "facts")

    builds_parts: bool = True
    answer_member: bytes = b""

    def __init__(self) -> None:
        self.facts = AnswerFacts()
        #: Of the candidates by their index, those that said anything, and those that said why they end.
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        self._searches = 0
        self._used: Usage | None = None
        #: Whether every total told was a sound one.
        self._is_reported = False

    def read_event(self, data: bytes) -> bool:
        """Read one piece. This wire tells its usage unasked, so nothing is ever taken out."""
        if not self.facts.is_complete:
            self._read(data)
            if self._has_ended():
                self.facts.usage = self._usage()
        return False

    def only_text(self) -> tuple[bytes, str] | None:
        """Never: each piece tells a usage of its own."""
        return None

    def settle(self) -> None:
        """The stream ended cleanly; it is whole where its answers have ended."""
        self.facts.is_complete = self._has_ended()

    def read_body(self, body: bytes) -> None:
        """Fill the facts from a whole answer."""
        self._read(body)
        self.facts.usage = self._usage()

    def _has_ended(self) -> bool:
        return self.facts.finish is not None and self._seen <= self._ended

    def _read(self, data: bytes) -> None:
        if is_any_told_twice(data, _USAGE_NAMES):
            data = told_at_largest(data) or data
        try:
            response = _response.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._read_frame(data)
            return
        if response.error:
            self.facts.error_type = _error_type(response.error)
        for candidate in response.candidates or ():
            self._read_candidate(candidate)
        feedback = response.prompt_feedback
        if feedback is not None and _is_said(feedback.block_reason):
            self.facts.finish = "filtered"
        self._read_model(response.model_version)
        self._read_usage(response.usage_metadata)

    def _read_frame(self, data: bytes) -> None:
        """Read an answer but for its content, which is odd: what it cost is told all the same."""
        self.facts.unreadable += 1
        try:
            frame = _frame.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        if frame.error:
            self.facts.error_type = _error_type(frame.error)
        self.facts.output_bytes += len(data)
        self._read_model(frame.model_version)
        self._read_usage(frame.usage_metadata)

    def _read_model(self, model: Any) -> None:
        if isinstance(model, str) and model:
            self.facts.model = plain_model(model)

    def _read_candidate(self, candidate: Candidate) -> None:
        facts, index = self.facts, candidate.index if isinstance(candidate.index, int) else _FIRST
        self._seen.add(index)
        content = candidate.content
        for part in (() if content is None else content.parts) or ():
            self._read_part(part)
        grounding = candidate.grounding_metadata
        if grounding is not None:
            self._searches = max(self._searches, len(grounding.web_search_queries or ()))
        reason = candidate.finish_reason
        if _is_said(reason):
            self._ended.add(index)
            finish = _FINISHES.get(reason, "other")
            facts.finish = "tool_call" if finish == "stop" and facts.tool_calls else finish

    def _read_part(self, part: Part) -> None:
        facts, called = self.facts, part.function_call
        facts.output_bytes += text_bytes(part.text)
        if called is not None and isinstance(called.name, str):
            facts.tool_calls.append(called.name)
            if called.args:
                facts.output_bytes += len(msgspec.json.encode(called.args))
        if part.executable_code is not None:
            facts.output_bytes += text_bytes(part.executable_code.code)
        if part.inline_data is not None:
            facts.output_bytes += text_bytes(part.inline_data.data)

    def _read_usage(self, content: Any) -> None:
        """Lay these totals over the earlier ones, of which none is taken back."""
        if content is None:
            return
        if not isinstance(content, dict):
            self.facts.unreadable += 1
            return
        told = cast("dict[str, Any]", content)
        usage, is_sound = _usage_of(told)
        self._used = larger_usage(self._used, usage)
        self.facts.told_usage = self._used
        self._is_reported = is_sound and usage.input_tokens > 0
        if not is_sound:
            self.facts.unreadable += 1
        tier = told.get("serviceTier")
        if isinstance(tier, str) and tier:
            self.facts.service_tier = tier.lower()

    def _usage(self) -> Usage | None:
        """What was used; None where nobody told it soundly."""
        used = self._used
        if used is None or not self._is_reported:
            return None
        if self._searches:
            by_prompt = searches_by_prompt(self.facts.model or "")
            searched = parts_of(0, 0, 0, 0, 1 if by_prompt else self._searches)
            used = larger_usage(used, Usage(parts=searched))
        return used


def _usage_of(told: dict[str, Any]) -> tuple[Usage, bool]:
    """The usage of some totals, and whether each that is told is a count."""
    counts = TokenCounts(told)
    prompt = counts.get("promptTokenCount") or 0
    thoughts = counts.get("thoughtsTokenCount") or 0
    read = prompt + (counts.get("toolUsePromptTokenCount") or 0)
    written = (counts.get("candidatesTokenCount") or 0) + thoughts
    # What the parts leave out of the total was written: there is no other kind.
    written = max(written, (counts.get("totalTokenCount") or 0) - read)
    sounds_in, pictures_in = _modalities(told.get("promptTokensDetails"))
    sounds_out, pictures_out = _modalities(told.get("candidatesTokensDetails"))
    usage = Usage(
        input_tokens=read,
        cached_tokens=min(counts.get("cachedContentTokenCount") or 0, read),
        output_tokens=written,
        reasoning_tokens=thoughts,
        parts=parts_of(sounds_in, pictures_in, sounds_out, pictures_out),
    )
    return usage, counts.is_sound


def _modalities(details: Any) -> tuple[int, int]:
    """Tokens of sound and of pictures."""
    sums = {"AUDIO": 0, "IMAGE": 0}
    for one in cast("list[Any]", details) if isinstance(details, list) else ():
        if isinstance(one, dict):
            detail = cast("dict[str, Any]", one)
            kind = detail.get("modality")
            if kind in sums:
                sums[kind] += TokenCounts(detail).get("tokenCount") or 0
    return sums["AUDIO"], sums["IMAGE"]


def _is_said(reason: Any) -> bool:
    return isinstance(reason, str) and reason not in _UNSAID


def _error_type(error: Any) -> str:
    """The stable word of an error: its `status`, such as `RESOURCE_EXHAUSTED`."""
    status = cast("dict[str, Any]", error).get("status") if isinstance(error, dict) else None
    return status[:64] if isinstance(status, str) and status else "error"
