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
    cached = written = 0
    if inputs is not None:
        cached, written = inputs.cached_tokens or 0, inputs.cache_write_tokens or 0
    reasoning = 0 if outputs is None else outputs.reasoning_tokens or 0
    found = usage_within_totals(usage.input_tokens, cached, written, usage.output_tokens, reasoning)
    return found, True, True


def _suspicious_usage(raw: RawJson) -> tuple[Usage | None, bool, bool]:
    counts = suspicious_counts(raw)
    if counts is None:
        return None, False, False
    read, output = counts.get("input_tokens"), counts.get("output_tokens")
    is_whole = read is not None and output is not None
    inputs, outputs = counts.inner("input_tokens_details"), counts.inner("output_tokens_details")
    cached, written = inputs.get("cached_tokens") or 0, inputs.get("cache_write_tokens") or 0
    usage = usage_within_totals(read or 0, cached, written, output or 0, outputs.get("reasoning_tokens") or 0)
    return usage, is_whole, is_whole and counts.is_sound and inputs.is_sound and outputs.is_sound


def parts_of(tool_usage: RawJson, searches: int, unpriced_calls: int) -> UsageParts | None:
    """What has a fee beside the tokens; None where nothing has. `searches` and `unpriced_calls` were seen in the output: the
    provider's own count of searches goes before, where it makes sense."""
    try:
        told = _tool_usage.decode(tool_usage) if len(tool_usage) else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        told = None
    if told is not None:
        if told.web_search is not None and told.web_search.num_requests is not None:
            searches = told.web_search.num_requests
        if told.image_gen is not None and told.image_gen.total_tokens:
            unpriced_calls = max(1, unpriced_calls)
    if searches or unpriced_calls:
        return UsageParts(web_searches=searches, unpriced_calls=unpriced_calls)
    return None
