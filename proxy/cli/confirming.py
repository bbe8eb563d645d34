"""Asking on a terminal before something that is seldom meant is done."""

import sys

import typer


def agreed(question: str) -> None:
    """Raises typer.Abort unless the answer is yes. Typer's own question takes Ctrl-C for a no; here it is one, exit code 130."""
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        sys.stderr.write("\n")
    if answer.strip().lower() not in ("y", "yes"):
        raise typer.Abort
