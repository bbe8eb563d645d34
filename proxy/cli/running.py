"""Runs a command: the root under which verbs stand, streams that encode everything, the last flush, what a full disk is told as.

Beneath `app.py`, which has all verbs, and `serving.py`, which starts with its own alone.
"""

import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn, TextIO

import typer
import typer.main

from proxy import __version__
from proxy.cli.admin_command import CommandGroup, example_text, new_group
from proxy.cli.failures import EXIT_FAILED, CommandFailed
from proxy.cli.telling import note, note_json


def new_root() -> typer.Typer:
    """The command itself, without verbs."""
    root = new_group(
        cls=CommandGroup,
        no_args_is_help=True,
        add_completion=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Switchback routes LLM traffic by version: point your base URL at it, then change what your agents say, "
        "which model answers and with which tools by moving a label, and take it back the same way.",
        epilog=example_text("switchback demo", "switchback serve", "switchback agents list"),
    )
    root.callback()(_root)
    return root


def _print_version(wanted: bool) -> None:
    if wanted:
        # No verb needs anything of core to start.
        from proxy.core.compiled import IS_COMPILED  # noqa: PLC0415

        typer.echo(f"switchback {__version__}{' (compiled)' if IS_COMPILED else ''}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself."""


def run(root: typer.Typer, ready: Callable[[], object]) -> None:
    """Run the command, which begins in start.py. `ready` is called once a Ctrl-C can be an exception: putting the command together,
    which takes a tenth of a second, stands outside what Typer catches. Exits with a code of `failures.py`."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        command = typer.main.get_command(root)
        ready()
        command(prog_name="switchback")
    except OSError as error:
        _cannot_write(error)
    finally:
        _flush()


def _flush() -> None:
    """The last write. A reader that has seen enough (head, a pager) is no failure; a disk that is full is one."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_output()
    except OSError as error:
        _cannot_write(error)


def _cannot_write(error: OSError) -> NoReturn:
    """Files that verbs open are their own matter; what reaches here is standard output."""
    _let_go_of_output()
    failed = CommandFailed(f"standard output cannot be written: {error.strerror or error}")
    if "--json" in sys.argv:
        note_json(failed.document())
    else:
        note(f"error: {failed}")
    sys.exit(EXIT_FAILED)


def _let_go_of_output() -> None:
    """Python flushes once more at exit, which must not meet the closed pipe or the full disk."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _never_fail_to_encode(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
