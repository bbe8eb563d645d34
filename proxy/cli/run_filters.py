"""The options by which runs are narrowed, written once for every verb that takes them.

What fits is the server's to say. Counterpart: the filters of `GET /runs`.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from proxy.cli.admin_client import AdminClient
from proxy.cli.showing import Show
from proxy.cli.times import time_ago

#: Member of the query or body, name on the command line, kind, help.
_FILTERS = (
    ("agent", "--agent", str, "Of this agent."),
    ("version", "--version", int, "Served by this version."),
    ("release", "--release", int, "Under this release."),
    ("rollout", "--rollout", str, "In this rollout."),
    ("arm", "--arm", str, "stable, candidate, or an arm of the agent's by its name."),
    ("user", "--user", str, "Of this user."),
    ("conversation", "--conversation", str, "Of this conversation."),
    ("request_id", "--request-id", str, "That the provider's answer named so (x-request-id, request-id)."),
    ("trace_id", "--trace-id", str, "Of this trace: the 32 hex digits in the caller's traceparent."),
    ("result", "--result", str, "ok, error, refused or client_left."),
    ("from", "--from", str, "Started since: 15m, 2h or 7d ago, a date, or RFC 3339."),
    ("to", "--to", str, "Started until: the same forms."),
)
Quarantined = Annotated[
    bool | None, typer.Option("--quarantined/--not-quarantined", help="Only tagged runs, or only the others.")
]


def by_run_filters(verb: Callable[..., None]) -> Callable[..., None]:
    """Make `verb(api, show, narrowed, …)` a verb with an option for each filter; `narrowed` is what was said of them."""

    def run(api: AdminClient, show: Show, **given: Any) -> None:
        narrowed = {name: given.pop(f"by_{name}") for name, _, _, _ in _FILTERS}
        said = {name: value for name, value in narrowed.items() if value is not None}
        verb(
            api,
            show,
            {name: time_ago(value) if name in ("from", "to") else value for name, value in said.items()},
            **given,
        )

    api, show, _, *rest = inspect.signature(verb).parameters.values()
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in rest]
    options = [_option(*found) for found in _FILTERS]
    # admin_command reads a verb's options from its signature.
    run.__signature__ = inspect.Signature([api, show, *keywords, *options])  # pyright: ignore[reportFunctionMemberAccess] standard protocol of inspect
    run.__doc__ = verb.__doc__
    return run


def _option(name: str, flag: str, kind: type, explanation: str) -> inspect.Parameter:
    metavar, least = ("N", 1) if kind is int else ("TIME" if name in ("from", "to") else "TEXT", None)
    option = typer.Option(flag, metavar=metavar, min=least, help=explanation)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(f"by_{name}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
