"""Work that can pause: a generator that yields where others may have a turn, and returns what it worked out.

Pure code says where it can pause; who takes the steps decides whether anybody has that turn.
"""

from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]


def one_step(work: Callable[[], T]) -> Steps[T]:
    """Work that cannot pause."""
    yield from ()
    return work()


def at_once(steps: Generator[None, None, T]) -> T:
    """Take all steps now; what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
