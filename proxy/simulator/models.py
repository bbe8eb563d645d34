"""The models the simulator knows: which wire and endpoint they serve, what they reject, and what a token costs.

Names, prices and rejected parameters are those of the real models, so that a price library prices a call the same way.
Nothing here reads requests; `openai.py` and `anthropic.py` apply the rules, `recording.py` bills.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


class Counted(Protocol):
    """What is billed: the tokens of an answer."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Model:
    """One model. Prices are whole nano-dollars per token; `answers_as` is the dated name in its answers."""

    id: str
    wire: Literal["openai", "anthropic", "google"]
    answers_as: str
    input_nanodollars: int
    cached_nanodollars: int
    cache_write_nanodollars: int
    output_nanodollars: int
    kind: Literal["chat", "completion", "embedding"] = "chat"
    takes_sampling: bool = True
    """Whether temperature, top_p and top_k may be sent."""
    takes_max_tokens: bool = True
    """OpenAI only: whether the old name `max_tokens` is taken beside `max_completion_tokens`."""
    takes_stop: bool = True
    dimensions: int = 0
    """Length of an embedding."""

    def nanodollars(self, answer: Counted) -> int:
        """What an answer is billed."""
        plain = answer.input_tokens - answer.cached_tokens - answer.cache_write_tokens
        return (
            plain * self.input_nanodollars
            + answer.cached_tokens * self.cached_nanodollars
            + answer.cache_write_tokens * self.cache_write_nanodollars
            + answer.output_tokens * self.output_nanodollars
        )


def _chat(name: str, dated: str, prices: tuple[int, int, int], *, reasons: bool = False, stops: bool = True) -> Model:
    price, cached, output = prices
    return Model(
        name, "openai", dated, price, cached, price, output,
        takes_sampling=not reasons, takes_max_tokens=not reasons, takes_stop=stops,
    )  # fmt: skip


def _claude(name: str, dated: str, prices: tuple[int, int, int], *, samples: bool) -> Model:
    price, cached, output = prices
    # A write to the five-minute cache costs a quarter more than plain input.
    return Model(name, "anthropic", dated, price, cached, price * 5 // 4, output, takes_sampling=samples)


def _gemini(name: str, prices: tuple[int, int, int]) -> Model:
    price, cached, output = prices
    return Model(name, "google", name, price, cached, price, output)


def _embedding(name: str, price: int, dimensions: int) -> Model:
    return Model(name, "openai", name, price, price, price, 0, kind="embedding", dimensions=dimensions)


def _by_name(models: Iterable[Model]) -> Mapping[str, Model]:
    table: dict[str, Model] = {}
    for model in models:
        table[model.id] = model
        table.setdefault(model.answers_as, model)
    return table


MODELS: Mapping[str, Model] = _by_name(
    (
        _chat("gpt-4o", "gpt-4o-2024-08-06", (2_500, 1_250, 10_000)),
        _chat("gpt-4o-mini", "gpt-4o-mini-2024-07-18", (150, 75, 600)),
        _chat("gpt-4.1", "gpt-4.1-2025-04-14", (2_000, 500, 8_000)),
        _chat("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", (400, 100, 1_600)),
        _chat("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", (100, 25, 400)),
        _chat("gpt-5", "gpt-5-2025-08-07", (1_250, 125, 10_000), reasons=True),
        _chat("gpt-5-mini", "gpt-5-mini-2025-08-07", (250, 25, 2_000), reasons=True),
        _chat("gpt-5-nano", "gpt-5-nano-2025-08-07", (50, 5, 400), reasons=True),
        _chat("o3", "o3-2025-04-16", (2_000, 500, 8_000), reasons=True, stops=False),
        _chat("o4-mini", "o4-mini-2025-04-16", (1_100, 275, 4_400), reasons=True, stops=False),
        Model("gpt-3.5-turbo-instruct", "openai", "gpt-3.5-turbo-instruct", 1_500, 1_500, 1_500, 2_000, "completion"),
        _embedding("text-embedding-3-small", 20, 1_536),
        _embedding("text-embedding-3-large", 130, 3_072),
        _gemini("gemini-2.5-pro", (1_250, 125, 10_000)),
        _gemini("gemini-2.5-flash", (300, 30, 2_500)),
        _gemini("gemini-2.5-flash-lite", (100, 10, 400)),
        _gemini("gemini-3-pro-preview", (2_000, 200, 12_000)),
        _gemini("gemini-3.8-flash", (750, 75, 3_750)),
        Model("gemini-embedding-001", "google", "gemini-embedding-001", 150, 150, 150, 0, "embedding"),
        _claude("claude-haiku-4-5", "claude-haiku-4-5-20251001", (1_000, 100, 5_000), samples=True),
        _claude("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", (3_000, 300, 15_000), samples=True),
        _claude("claude-sonnet-4-6", "claude-sonnet-4-6", (3_000, 300, 15_000), samples=True),
        _claude("claude-opus-4-6", "claude-opus-4-6", (5_000, 500, 25_000), samples=True),
        _claude("claude-opus-4-7", "claude-opus-4-7", (5_000, 500, 25_000), samples=False),
        _claude("claude-opus-4-8", "claude-opus-4-8", (5_000, 500, 25_000), samples=False),
        _claude("claude-opus-5", "claude-opus-5", (5_000, 500, 25_000), samples=False),
        _claude("claude-sonnet-5", "claude-sonnet-5", (2_000, 200, 10_000), samples=False),
        _claude("claude-haiku-5-5", "claude-haiku-5-5", (100, 10, 500), samples=False),
    )
)
