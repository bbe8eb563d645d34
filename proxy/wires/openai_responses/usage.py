"""The usage of OpenAI Responses: tokens read with suspicion, and what the provider's own tools were used for.

Belongs here: what the counts mean and which are nonsense. Where a usage stands and when it holds is openai_responses/answer.py.

Protocol facts: `input_tokens` includes cached and written ones, `output_tokens` includes reasoning; both are sums over all that
the model read and wrote while it used tools of the provider's. `tool_usage` counts searches of the web, which have a fee of their
own, and the tokens of pictures, which are billed at another model's rates.
"""

from typing import Final

import msgspec

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.json.values import RawJson
from proxy.wires.openai_responses.shapes import SoundUsage, ToolUsage
from proxy.wires.shared.answer_reading import parts_of as token_parts
from proxy.wires.shared.openai_usage import suspicious_counts, usage_within_totals

_sound_usage: Final[msgspec.json.Decoder[SoundUsage]] = msgspec.json.Decoder(SoundUsage)
_tool_usage: Final[msgspec.json.Decoder[ToolUsage | None]] = msgspec.json.Decoder(ToolUsage | None)


def usage_of(raw: RawJson) -> tuple[Usage | None, bool, bool]:
    """Tokens, whether both totals are among them, and whether every count was sound. A total that is missing or nonsense is 0;
    None where nothing could be read."""
    try:
        usage = _sound_usage.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _suspicious_usage(raw)
    inputs, outputs = usage.input_tokens_details, usage.output_tokens_details
    cached = written = audio_in = image_in = reasoning = audio_out = image_out = 0
    if inputs is not None:
        cached, written = inputs.cached_tokens or 0, inputs.cache_write_tokens or 0
        audio_in, image_in = inputs.audio_tokens or 0, inputs.image_tokens or 0
    if outputs is not None:
        reasoning, audio_out, image_out = (
            outputs.reasoning_tokens or 0,
            outputs.audio_tokens or 0,
            outputs.image_tokens or 0,
        )
    parts = token_parts(audio_in, image_in, audio_out, image_out)
    totals = usage.input_tokens, usage.output_tokens, usage.total_tokens or 0
    return usage_within_totals(totals, cached, written, reasoning, parts), True, True


def _suspicious_usage(raw: RawJson) -> tuple[Usage | None, bool, bool]:
    counts = suspicious_counts(raw)
    if counts is None:
        return None, False, False
    read, output = counts.get("input_tokens"), counts.get("output_tokens")
    is_whole = read is not None and output is not None
    inputs, outputs = counts.inner("input_tokens_details"), counts.inner("output_tokens_details")
    cached, written = inputs.get("cached_tokens") or 0, inputs.get("cache_write_tokens") or 0
    parts = token_parts(
        inputs.get("audio_tokens") or 0,
        inputs.get("image_tokens") or 0,
        outputs.get("audio_tokens") or 0,
        outputs.get("image_tokens") or 0,
    )
    totals = read or 0, output or 0, counts.get("total_tokens") or 0
    usage = usage_within_totals(totals, cached, written, outputs.get("reasoning_tokens") or 0, parts)
    return usage, is_whole, is_whole and counts.is_sound and inputs.is_sound and outputs.is_sound


class ToolUses:
    """How often the provider's own tools were seen to be used."""

    __slots__ = ("file_searches", "searches", "unpriced_calls")

    def __init__(self, searches: int, file_searches: int, unpriced_calls: int) -> None:
        self.searches = searches
        self.file_searches = file_searches
        self.unpriced_calls = unpriced_calls


def parts_of(tokens: UsageParts | None, uses: ToolUses, tool_usage: RawJson) -> UsageParts | None:
    """The parts of a usage, and what has a fee beside the tokens; None where there is nothing of it. The provider's own count of
    searches goes before what was seen, where it makes sense."""
    searches, unpriced_calls = uses.searches, uses.unpriced_calls
    try:
        told = _tool_usage.decode(tool_usage) if len(tool_usage) else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        told = None
    if told is not None:
        if told.web_search is not None and told.web_search.num_requests is not None:
            searches = told.web_search.num_requests
        if told.image_gen is not None and told.image_gen.total_tokens:
            unpriced_calls = max(1, unpriced_calls)
    if not (searches or uses.file_searches or unpriced_calls):
        return tokens
    parts = tokens or UsageParts()
    parts.web_searches, parts.file_searches, parts.unpriced_calls = searches, uses.file_searches, unpriced_calls
    return parts
