"""The usage of one call in tokens. What it costs is spend.py, how it is read from an answer the wires' matter."""

from dataclasses import dataclass


@dataclass(init=False, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` includes cached and written ones; `output_tokens` includes reasoning."""

    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    #: The part of cache_write_tokens that is kept for an hour and costs more (Anthropic).
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int

    def __init__(
        self,
        input_tokens: int = 0,
        cached_tokens: int = 0,
        cache_write_tokens: int = 0,
        cache_write_1h_tokens: int = 0,
        output_tokens: int = 0,
        reasoning_tokens: int = 0,
    ) -> None:
        self.input_tokens = input_tokens
        self.cached_tokens = cached_tokens
        self.cache_write_tokens = cache_write_tokens
        self.cache_write_1h_tokens = cache_write_1h_tokens
        self.output_tokens = output_tokens
        self.reasoning_tokens = reasoning_tokens
