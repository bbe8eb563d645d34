"""What a person sees of the demo: a live table in a terminal, a line now and then in a pipe or a log.

Counterpart: `demo_story.py`, which says what happened. Everything shown is the demo's own text.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class ScreenRow:
    """One version's traffic so far; `share_percent` is of the last two seconds."""

    version: int
    share_percent: float
    calls: int
    errors: int
    refused: int
    cost_usd: float

    @property
    def error_percent(self) -> float:
        return 100 * self.errors / self.calls if self.calls else 0.0

    @property
    def cost_of_thousand_usd(self) -> float:
        answered = self.calls - self.refused
        return 1000 * self.cost_usd / answered if answered else 0.0


class Screen(Protocol):
    """Where the demo is seen."""

    def tell(self, text: str) -> None:
        """Something happened."""
        ...

    def frame(self, seconds: float, rows: Sequence[ScreenRow]) -> None:
        """How traffic stands `seconds` after the start."""
        ...


class PlainScreen:
    """Lines, at most one about traffic every `interval_seconds`."""

    def __init__(self, out: TextIO, interval_seconds: float) -> None:
        self._out = out
        self._interval_seconds = interval_seconds
        self._shown_at = -interval_seconds

    def tell(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def frame(self, seconds: float, rows: Sequence[ScreenRow]) -> None:
        if seconds - self._shown_at < self._interval_seconds or not rows:
            return
        self._shown_at = seconds
        self.tell(f"{seconds:5.1f} s  " + "  |  ".join(_line(row) for row in rows))


class LiveScreen:
    """The story as it is told, and a table below it that changes in place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def tell(self, text: str) -> None:
        self._live.console.print(Text(text))

    def frame(self, seconds: float, rows: Sequence[ScreenRow]) -> None:
        self._live.update(_table(rows))


@contextmanager
def screen_for(out: TextIO, length_seconds: float) -> Generator[Screen]:
    """The screen that suits `out`, for a story of about `length_seconds`."""
    console = Console(file=out, markup=False, highlight=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainScreen(out, length_seconds / 14)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield LiveScreen(live)


def _line(row: ScreenRow) -> str:
    return (
        f"v{row.version} {row.share_percent:3.0f}% now, {row.calls} calls, {row.error_percent:.0f}% errors, "
        f"{row.refused} refused, ${row.cost_usd:.4f}"
    )


def _table(rows: Sequence[ScreenRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="support-triage: traffic by version", title_justify="left")
    for title in ("VERSION", "SHARE NOW", "CALLS", "ERRORS", "REFUSED", "COST", "PER 1000 CALLS"):
        table.add_column(title, justify="right")
    for row in rows:
        is_bad = row.error_percent > 5
        table.add_row(
            f"v{row.version}",
            f"{row.share_percent:.0f}%",
            str(row.calls),
            Text(f"{row.error_percent:.0f}%", style="bold red" if is_bad else ""),
            str(row.refused),
            f"${row.cost_usd:.4f}",
            f"${row.cost_of_thousand_usd:.3f}",
        )
    return table
