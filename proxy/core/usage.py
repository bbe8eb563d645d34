"""The usage of one call in tokens. What it costs is spend.py, how it is read from an answer the wires' matter."""

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one call. `input_tokens` includes cached and written ones; `output_tokens` includes reasoning."""

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    #: The part of cache_write_tokens that is kept for an hour and costs more (Anthropic).
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
