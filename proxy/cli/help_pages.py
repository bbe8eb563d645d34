"""`switchback help`: pages about the command as a whole, and the help of any verb by its words."""

from typing import Annotated, Any

import typer

from proxy.cli.admin_command import PlainCommand, example_text
from proxy.cli.failures import EXIT_CODES
from proxy.core.nearest import nearest_of

EXIT_CODES_PAGE = "exit-codes"


def register(app: typer.Typer) -> None:
    """Add `help` to the command."""
    epilog = example_text("switchback help exit-codes", "switchback help rollout start")
    app.command("help", cls=PlainCommand, epilog=epilog)(show_page)


def show_page(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="exit-codes, or a command; without, all commands.")
    ] = None,
) -> None:
    """Show a page of help: what the exit codes mean, or a command's own, as its --help does."""
    if words == [EXIT_CODES_PAGE]:
        for code, meaning in EXIT_CODES.items():
            typer.echo(f"{code:>3}  {meaning}")
        return
    typer.echo(_help_of(context, words or []))


def _help_of(context: typer.Context, words: list[str]) -> str:
    """Raises typer.BadParameter where the words name no command."""
    place: Any = context.find_root()
    for number, word in enumerate(words):
        command = getattr(place.command, "commands", {}).get(word)
        if command is None:
            known = [*getattr(place.command, "commands", {}), *([] if number else [EXIT_CODES_PAGE])]
            near = nearest_of(word, known)
            raise typer.BadParameter(f"there is no command {' '.join(words[: number + 1])!r}, nor such a page{near}")
        place = typer.Context(command, info_name=word, parent=place)
    return place.get_help()
