"""Turns a function into an admin verb: adds the options every one has, connects, and explains failures.

The function is written as `verb(api, show, …)`; what follows the first two are its own arguments and options. Each verb
has an example, shown at the end of its `--help`, and the least role that may use it, as the server's route table says.
"""

import inspect
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from proxy.cli.admin_client import connect
from proxy.cli.completing import completion_of
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.nearest import with_nearest
from proxy.cli.telling import clean, note, note_json

Verb = TypeVar("Verb", bound=Callable[..., None])

AdminUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the admin API is: scheme, host and port [env SWITCHBACK_ADMIN_URL; default http://127.0.0.1:8101].",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with the admin token [default SWITCHBACK_TOKEN, else $SWITCHBACK_HOME/admin-token]."),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON, for programs.")]

Limit = Annotated[int, typer.Option(metavar="N", min=1, max=1_000_000, help="Show at most so many.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="The reason, kept in the audit log.")]
AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent.")]

NO_REASON = "no reason given"
_ASKS_JSON = "switchback.asks_json"
_NOT_FOUND = 404


class PlainCommand(TyperCommand):
    """A command whose help calls an argument by its name alone, without braces and the Python type that Typer adds."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words behind the command's name."""
        return [piece.removeprefix("{").removesuffix("}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options, one a line."""
        records: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, TyperArgument):
                records["Arguments"].append((record[0].partition(" <")[0], record[1]))
            elif record is not None:
                records["Options"].append(record)
        for title, lines in records.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


def new_group(**settings: Any) -> typer.Typer:
    """A group of commands with plain help: text that reads the same in a terminal, a pipe and a log."""
    plain: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "add_completion": False}
    return typer.Typer(**(plain | settings))


def example_text(*examples: str) -> str:
    """The end of a help page."""
    return "\b\nExample:\n" + "\n".join(f"  {example}" for example in examples)


def help_text(says: str | None, role: str) -> str:
    """What a verb does, and who may use it."""
    return f"{says}\n\nLeast role: {role}."


def admin_command(group: typer.Typer, name: str, *examples: str, role: str = "viewer") -> Callable[[Verb], Verb]:
    """Register `verb(api, show, …)` as command `name` of `group`. `role`: the least that may use it, besides admin."""

    def register(verb: Verb) -> Verb:
        def run(*, admin_url: str | None, token_file: Path | None, as_json: bool, **arguments: Any) -> None:
            warnings: list[str] = []
            with failures_explained(as_json, warnings):
                _check_text(arguments)
                # Heavy: what lays out tables, which the start of a server does without.
                from proxy.cli.showing import Show  # noqa: PLC0415

                api = connect(admin_url, token_file, os.environ)
                api.warnings = warnings
                try:
                    verb(api, Show(as_json), **arguments)
                except CommandFailed as failed:
                    if failed.status != _NOT_FOUND:
                        raise
                    raise with_nearest(api, failed, arguments) from None

        own = list(inspect.signature(verb).parameters.values())[2:]
        shared = [_parameter("admin_url", AdminUrl, None), _parameter("token_file", TokenFile, None)]
        shared.append(_parameter("as_json", AsJson, False))
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *shared]]
        for parameter in parameters:
            _complete(parameter)
        # Typer learns a command's options from its signature, so the signature is what is put together here.
        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess] standard protocol of inspect
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        group.command(
            name, cls=PlainCommand, help=help_text(inspect.getdoc(verb), role), epilog=example_text(*examples)
        )(run)
        return verb

    return register


def _check_text(arguments: Mapping[str, Any]) -> None:
    """Raises CommandFailed for bytes of the command line that are no UTF-8. Paths may be any bytes."""
    for value in arguments.values():
        for text in cast("list[Any]", value) if isinstance(value, list) else [value]:
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise CommandFailed(f"{text!r} is no text in UTF-8", EXIT_USAGE)


def _complete(parameter: inspect.Parameter) -> None:
    """Give a parameter what its name says it is completed by."""
    kind, *told = get_args(parameter.annotation)
    is_number = int in (kind, *get_args(kind))
    for info in told:
        info.autocompletion = completion_of(parameter.name, is_number=is_number)


@contextmanager
def failures_explained(as_json: bool = False, warnings: Sequence[str] = ()) -> Generator[None]:
    """A line on standard error for each problem, or one JSON object, and the exit code, in place of a traceback.

    `warnings` is what was collected until then beside results; it is told in any case.
    """
    try:
        with _files_named():
            yield
    except CommandFailed as failed:
        if as_json:
            note_json({**failed.document(), **({"warnings": list(warnings)} if warnings else {})})
        else:
            for line in (*warnings, *(f"error: {problem}" for problem in failed.problems[:-1])):
                note(line)
            note(f"error: {failed}")
        raise typer.Exit(failed.exit_code) from None
    except BaseException:
        _note_all(warnings)
        raise
    _note_all(warnings)


@contextmanager
def _files_named() -> Generator[None]:
    """What the system says of a file that the command line names, as a failure with its name; without a name it is of standard
    output, which app.py explains."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        problem = f"{name}: cannot be used: {error.strerror or type(error).__name__}"
        raise CommandFailed(problem, EXIT_USAGE) from None


def _note_all(warnings: Sequence[str]) -> None:
    for warning in warnings:
        note(warning)


#: What Typer raises for a command line it cannot make sense of; it gives only one kind of it a name.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


@contextmanager
def _usage_explained() -> Generator[None]:
    try:
        yield
    except _UsageError as wrong:
        # Only whoever slipped waits for it.
        from proxy.cli.wrong_usage import told_better  # noqa: PLC0415

        told_better(wrong)
        raise


class CommandGroup(TyperGroup):
    """The command itself: what is wrong with the words behind it is told as JSON too, where JSON was asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words as they came."""
        words = args[: args.index("--")] if "--" in args else args
        ctx.meta[_ASKS_JSON] = "--json" in words
        with _usage_explained():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that the words name."""
        try:
            with _usage_explained():
                return super().invoke(ctx)
        except _UsageError as wrong:
            if not ctx.meta[_ASKS_JSON]:
                raise
            note_json(CommandFailed(clean(wrong.format_message()), EXIT_USAGE).document())
            raise typer.Exit(EXIT_USAGE) from None


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
