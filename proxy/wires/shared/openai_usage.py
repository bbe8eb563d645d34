"""What the usages of OpenAI's wires have in common: a part is told beside the total that it is a part of.

Belongs here: reading an odd one with suspicion, and keeping parts within their totals. What the members are called is each wire's.
"""

import math
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

from proxy.core.spending.usage import Usage, UsageParts
from proxy.wires.json.values import RawJson
from proxy.wires.shared.answer_reading import TokenCounts, parts_of

#: No call costs more.
_MOST_DOLLARS: Final = 100_000
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
    cached = max(inputs.get("cached_tokens") or 0, counts.get("prompt_cache_hit_tokens") or 0)
    written = inputs.get("cache_write_tokens") or 0
    parts = parts_of(
        inputs.get("audio_tokens") or 0,
        inputs.get("image_tokens") or 0,
        outputs.get("audio_tokens") or 0,
        outputs.get("image_tokens") or 0,
        tools.get("web_search_requests") or 0,
        told_cost(
            counts.dollars("cost"),
            counts.inner("cost_details").dollars("upstream_inference_cost"),
            counts.flag("is_byok"),
        ),
    )
    totals = prompt or 0, completion or 0, counts.get("total_tokens") or 0
    usage = usage_within_totals(totals, cached, written, outputs.get("reasoning_tokens") or 0, parts)
    is_sound = counts.is_sound and inputs.is_sound and outputs.is_sound and tools.is_sound
    return usage, is_whole, is_whole and is_sound


def told_cost(cost: float | None, upstream: float | None, is_byok: bool | None) -> int:
    """What a gateway says a call is billed, in nano-dollars, rounded up; 0 where it says nothing that makes sense.

    `cost`: what the gateway takes, dollars; `upstream`: what the provider behind it takes beside that where its key is the caller's own.
    """
    if cost is None:
        return 0
    dollars = cost if upstream is None or is_byok is False else cost + upstream
    if not 0 < dollars <= _MOST_DOLLARS:
        return 0  # nothing is told, or nonsense: then the price list decides
    return math.ceil(Decimal(repr(dollars)) * 1_000_000_000)


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
