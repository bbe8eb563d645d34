"""Downloads of any length into a file or a pipe, with a progress bar on standard error where that is a terminal.

A file gets its name only when everything has arrived; what was broken off is left beside it as `.part`. What is no file (a
device, a named pipe) is written to as it is.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.admin_client import Download
from proxy.cli.failures import CommandFailed
from proxy.cli.showing import Show
from proxy.cli.telling import write_pieces

Output = Annotated[Path | None, typer.Option(metavar="FILE", help="Write to this file; - is standard output [-].")]
_STANDARD_OUTPUT = Path("-")


def save(download: Download, output: Path | None, show: Show) -> None:
    """Write it all. Raises CommandFailed where the download or the file breaks."""
    counter = _Counter(download)
    if output is None or output == _STANDARD_OUTPUT:
        write_pieces(counter.pieces(shows_bar=sys.stderr.isatty() and not sys.stdout.isatty()))
        return
    # A device or a pipe must not be replaced by a file.
    is_file = output.is_file() or not output.exists()
    unfinished = output.with_name(f"{output.name}.part") if is_file else output
    try:
        with unfinished.open("wb") as file:
            for piece in counter.pieces(shows_bar=sys.stderr.isatty()):
                file.write(piece)
        if is_file:
            unfinished.replace(output)
    except OSError as error:
        raise CommandFailed(f"{output}: cannot be written: {error.strerror}") from None
    except CommandFailed as failed:
        raise CommandFailed(
            f"{failed}; it is in {unfinished}", failed.exit_code, failed.code, status=failed.status
        ) from None
    lines = "line" if counter.lines == 1 else "lines"
    show.document({"file": str(output), "lines": counter.lines}, f"wrote {counter.lines} {lines} to {output}")


class _Counter:
    """Counts lines as they pass."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self.lines = 0

    def pieces(self, *, shows_bar: bool) -> Iterator[bytes]:
        if not shows_bar:
            for piece in self._download.pieces:
                self.lines += piece.count(b"\n")
                yield piece
            return
        # Heavy, and only for somebody who watches.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=self._download.count)
            for piece in self._download.pieces:
                self.lines += piece.count(b"\n")
                # The head of a CSV file is a line too, and a cell may hold some.
                progress.update(task, completed=min(self.lines, self._download.count or self.lines))
                yield piece
