"""The usage of OpenAI Chat Completions: tokens read with suspicion.

Belongs here: what the counts mean and which are nonsense. Where a usage stands and when it holds is openai_chat/answer.py.

Protocol facts: `prompt_tokens` includes cached ones, `completion_tokens` includes reasoning. Some servers say of cached ones
`prompt_cache_hit_tokens`, count reasoning beside both, or tell in dollars what the call costs (`cost`).
"""

from typing import Final

import msgspec

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.json.values import RawJson
from proxy.wires.openai_chat.shapes import SoundUsage
from proxy.wires.shared.answer_reading import parts_of
from proxy.wires.shared.openai_usage import suspicious_usage, told_cost, usage_within_totals

_sound_usage: Final[msgspec.json.Decoder[SoundUsage]] = msgspec.json.Decoder(SoundUsage)


def usage_of(raw: RawJson) -> tuple[Usage | None, bool, bool]:
    """Tokens, whether both totals are among them, and whether every count was sound. A total that is missing or nonsense is 0;
    None where nothing could be read."""
    try:
        return usage_of_sound(_sound_usage.decode(raw)), True, True
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return suspicious_usage(raw)


def usage_of_sound(usage: SoundUsage) -> Usage:
    """The usage with nothing larger than what it is part of."""
    inputs, outputs, tools = usage.prompt_tokens_details, usage.completion_tokens_details, usage.server_tool_use
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
    if usage.prompt_cache_hit_tokens is not None:
        cached = max(cached, usage.prompt_cache_hit_tokens)
    searches = 0 if tools is None else tools.web_search_requests or 0
    parts = parts_of(audio_in, image_in, audio_out, image_out, searches)
    if usage.cost is not None:
        parts = _with_cost(parts, usage)
    totals = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens or 0
    return usage_within_totals(totals, cached, written, reasoning, parts)


def _with_cost(parts: UsageParts | None, usage: SoundUsage) -> UsageParts | None:
    """Parts that say what the answer says that it costs."""
    details = usage.cost_details
    told = told_cost(usage.cost, None if details is None else details.upstream_inference_cost, usage.is_byok)
    if not told:
        return parts
    parts = parts or UsageParts()
    parts.told_nanodollars = told
    return parts
