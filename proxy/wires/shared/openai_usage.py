"""What the usages of OpenAI's wires have in common: a part is told beside the total that it is a part of.

Belongs here: reading an odd one with suspicion, and keeping parts within their totals. What the members are called is each wire's.
"""

from typing import Any, Final, cast

import msgspec

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.json.values import RawJson
from proxy.wires.shared.answer_reading import TokenCounts, parts_of

_anything: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()


def suspicious_counts(raw: RawJson) -> TokenCounts | None:
    """The counts of a usage that may hold nonsense; None where it is no object."""
    try:
        content = _anything.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return TokenCounts(cast("dict[str, Any]", content)) if isinstance(content, dict) else None


def suspicious_usage(raw: RawJson) -> tuple[Usage | None, bool, bool]:
    """Tokens of a usage with `prompt_tokens` and `completion_tokens` that may hold nonsense, whether both totals are among them, and whether
    every count was sound. A total that is missing or nonsense is 0; None where nothing could be read."""
    counts = suspicious_counts(raw)
    if counts is None:
        return None, False, False
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    is_whole = prompt is not None and completion is not None
    inputs, outputs = counts.inner("prompt_tokens_details"), counts.inner("completion_tokens_details")
    tools = counts.inner("server_tool_use")
    cached, written = inputs.get("cached_tokens") or 0, inputs.get("cache_write_tokens") or 0
    parts = parts_of(
        inputs.get("audio_tokens") or 0,
        inputs.get("image_tokens") or 0,
        outputs.get("audio_tokens") or 0,
        outputs.get("image_tokens") or 0,
        tools.get("web_search_requests") or 0,
    )
    totals = prompt or 0, completion or 0, counts.get("total_tokens") or 0
    usage = usage_within_totals(totals, cached, written, outputs.get("reasoning_tokens") or 0, parts)
    is_sound = counts.is_sound and inputs.is_sound and outputs.is_sound and tools.is_sound
    return usage, is_whole, is_whole and is_sound


def usage_within_totals(
    totals: tuple[int, int, int], cached: int, written: int, reasoning: int, parts: UsageParts | None
) -> Usage:
    """A usage with nothing larger than what it is part of. `totals`: what was read, what was written, and both as one sum (0: not
    told). A part that is larger than its total was counted beside it, and so was what the sum holds beyond both, as some servers
    count reasoning."""
    read, output, both = totals
    if cached + written > read:
        read += cached + written
    if reasoning > output:
        output += reasoning
    return Usage(read, cached, written, 0, max(output, both - read), reasoning, parts)
