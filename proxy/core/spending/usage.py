"""The usage of one call in tokens. What it costs is prices.py, how it is read from an answer the wires' matter."""

from dataclasses import dataclass


@dataclass(init=False, slots=True)
class UsageParts:
    """What of a usage may have a rate of its own: parts of the input's and the output's tokens, and what is billed beside."""

    audio_input_tokens: int
    image_input_tokens: int
    audio_output_tokens: int
    image_output_tokens: int
    web_searches: int
    file_searches: int
    #: Calls of a provider's own tools that have a fee which no price list knows.
    unpriced_calls: int
    #: What the answer says that all of it is billed, nano-dollars; 0: it does not say.
    told_nanodollars: int

    def __init__(
        self,
        audio_input_tokens: int = 0,
        image_input_tokens: int = 0,
        audio_output_tokens: int = 0,
        image_output_tokens: int = 0,
        web_searches: int = 0,
        file_searches: int = 0,
        unpriced_calls: int = 0,
        told_nanodollars: int = 0,
    ) -> None:
        self.audio_input_tokens = audio_input_tokens
        self.image_input_tokens = image_input_tokens
        self.audio_output_tokens = audio_output_tokens
        self.image_output_tokens = image_output_tokens
        self.web_searches = web_searches
        self.file_searches = file_searches
        self.unpriced_calls = unpriced_calls
        self.told_nanodollars = told_nanodollars


@dataclass(init=False, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` includes cached and written ones; `output_tokens` includes reasoning."""

    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    #: The part of cache_write_tokens that is kept for an hour and costs more.
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    #: None where none was told, which is the usual case.
    parts: UsageParts | None

    def __init__(
        self,
        input_tokens: int = 0,
        cached_tokens: int = 0,
        cache_write_tokens: int = 0,
        cache_write_1h_tokens: int = 0,
        output_tokens: int = 0,
        reasoning_tokens: int = 0,
        parts: UsageParts | None = None,
    ) -> None:
        self.input_tokens = input_tokens
        self.cached_tokens = cached_tokens
        self.cache_write_tokens = cache_write_tokens
        self.cache_write_1h_tokens = cache_write_1h_tokens
        self.output_tokens = output_tokens
        self.reasoning_tokens = reasoning_tokens
        self.parts = parts


def larger_usage(one: Usage | None, other: Usage) -> Usage:
    """What two reports on one call come to: counts are totals so far, so that a smaller one takes nothing back."""
    if one is None:
        return other
    return Usage(
        max(one.input_tokens, other.input_tokens),
        max(one.cached_tokens, other.cached_tokens),
        max(one.cache_write_tokens, other.cache_write_tokens),
        max(one.cache_write_1h_tokens, other.cache_write_1h_tokens),
        max(one.output_tokens, other.output_tokens),
        max(one.reasoning_tokens, other.reasoning_tokens),
        _larger_parts(one.parts, other.parts),
    )


def _larger_parts(one: UsageParts | None, other: UsageParts | None) -> UsageParts | None:
    if one is None or other is None:
        return other if one is None else one
    return UsageParts(
        max(one.audio_input_tokens, other.audio_input_tokens),
        max(one.image_input_tokens, other.image_input_tokens),
        max(one.audio_output_tokens, other.audio_output_tokens),
        max(one.image_output_tokens, other.image_output_tokens),
        max(one.web_searches, other.web_searches),
        max(one.file_searches, other.file_searches),
        max(one.unpriced_calls, other.unpriced_calls),
        max(one.told_nanodollars, other.told_nanodollars),
    )
