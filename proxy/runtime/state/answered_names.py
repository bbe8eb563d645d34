"""Under which names models answer: asked for `fast`, one answers as `fast-2026-08-06`, and a switch or cap on either name means both.

Learned from answers, and at the start from the runs that are kept. With several workers the owner of the store learns from the runs
they hand over, and tells all of them.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

#: Models of one provider, characters of a name. A table that is full begins anew.
MAX_NAMES: Final = 1024
_MAX_NAME_CHARACTERS: Final = 256


class AnsweredName(NamedTuple):
    """As what a provider's model answers."""

    provider: str
    asked: str
    answered: str


class AnsweredNames:
    """The names learned so far, by provider and name asked for."""

    def __init__(self) -> None:
        self._by_provider: dict[str, dict[str, str]] = {}
        self._listeners: list[Callable[[AnsweredName], None]] = []

    def __iter__(self) -> Iterator[AnsweredName]:
        return (
            AnsweredName(provider, asked, answered)
            for provider, names in self._by_provider.items()
            for asked, answered in names.items()
        )

    def on_news(self, listener: Callable[[AnsweredName], None]) -> None:
        """Call `listener` with every name that is new, or has changed."""
        self._listeners.append(listener)

    def of(self, provider: str) -> dict[str, str]:
        """The names of a provider's models, as they are at any later moment too."""
        return self._by_provider.setdefault(provider, {})

    def learn(self, provider: str | None, asked: str | None, answered: str | None) -> None:
        """Note how a call was answered, as far as that is known."""
        if provider is None or not asked or not answered or asked == answered:
            return
        names = self.of(provider)
        if names.get(asked) == answered or max(len(asked), len(answered)) > _MAX_NAME_CHARACTERS:
            return
        if len(names) >= MAX_NAMES:
            names.clear()
        names[asked] = answered
        for listener in self._listeners:
            listener(AnsweredName(provider, asked, answered))
