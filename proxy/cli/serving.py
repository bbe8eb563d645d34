"""`switchback serve` and `switchback simulate`: the two verbs that run until they are stopped.

What they need is imported when they run, so that `--help` and the admin verbs need not wait for it. Counterparts:
`proxy/server.py` (the composition root) and `proxy/simulator/`.
"""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.cli.admin_command import example_text, failures_explained, new_group
from proxy.cli.failures import EXIT_USAGE, CommandFailed
from proxy.cli.running import new_root, run
from proxy.cli.telling import note, say

commands = new_group()

DEFAULT_SIMULATOR = "127.0.0.1:8200"
#: Those of the simulator (simulator/scenario.py says what each does), which `--help` does not wait for.
ORDERS = (
    "delay_ms, event_delay_ms, jitter, slow, seed, events, output_tokens, cached_tokens, "
    "cache_write_tokens, reasoning_tokens, echo_system, text, refuse, finish, model_answered, gzip, "
    "end_delay_ms, no_usage, usage, status, retry_after, error_rate, redirect, status_line, "
    "cut_before_answer, cut_after_events, close_after_events, end_after_events, stall_after_events, "
    "error_after_events, malformed"
)


@commands.command(epilog=example_text("switchback serve", "switchback serve --config config/switchback.yaml"))
def serve(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Settings (YAML); without, everything has a default."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only look whether the settings can be used.")] = False,
) -> None:
    """Run the proxy and its admin API until SIGTERM or Ctrl-C; calls in flight are finished first."""
    # Modules are never garbage, and looking for some among them costs a tenth of the start.
    gc.disable()
    # Heavy: HTTP, pydantic and prices, which only a server needs.
    from proxy.server import serve as serve_until_signal  # noqa: PLC0415
    from proxy.settings import SettingsError, load_settings  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    with failures_explained():
        try:
            settings = load_settings(config, os.environ)
        except SettingsError as wrong:
            for problem in wrong.problems[:-1]:
                note(f"error: {problem}")
            raise CommandFailed(wrong.problems[-1], EXIT_USAGE) from None
    if check:
        if settings.admin.warning is not None:
            note(f"warning: {settings.admin.warning}")
        say("ok: the settings can be used")
        return
    raise typer.Exit(serve_until_signal(settings))


@commands.command(
    epilog=example_text(
        "switchback simulate",
        "switchback simulate --listen 127.0.0.1:8200 --realistic --error-rate 0.05",
        "switchback simulate --order cut_after_events=3 --ledger bills.jsonl",
    )
)
def simulate(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where; port 0 takes any free one.")
    ] = DEFAULT_SIMULATOR,
    realistic: Annotated[bool, typer.Option("--realistic", help="Pace of a small hosted model.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="First byte after 1.5 s, then 50 ms a piece.")] = False,
    error_rate: Annotated[
        float | None, typer.Option(metavar="NUMBER", min=0, max=1, help="Share of calls that fail, 0 to 1.")
    ] = None,
    status: Annotated[
        int | None, typer.Option(metavar="N", min=300, max=599, help="Status of failures; alone, of all calls.")
    ] = None,
    order: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help=f"How it behaves; once for each. Orders: {ORDERS}."),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append every bill, before its answer, as a JSON line.")
    ] = None,
) -> None:
    """Run a pretended provider that speaks the OpenAI and the Anthropic wire, and misbehaves on order."""
    # Heavy: an event loop and an HTTP server, which only this verb needs.
    import uvloop  # noqa: PLC0415

    from proxy.cli.until_signal import until_signal  # noqa: PLC0415
    from proxy.simulator.command import serve as serve_simulator  # noqa: PLC0415
    from proxy.simulator.scenario import HEALTHY, REALISTIC, OrderError, parse_orders  # noqa: PLC0415

    said: dict[str, Any] = {"slow": slow or None, "error_rate": error_rate, "status": status}
    with failures_explained():
        host, port = _address(listen)
        try:
            orders = {**parse_orders("; ".join(order or ())), **said}
            scenario = (REALISTIC if realistic else HEALTHY).ordered(orders)
        except OrderError as wrong:
            raise CommandFailed(str(wrong), EXIT_USAGE) from None
        try:
            uvloop.run(until_signal(serve_simulator(host, port, scenario, ledger, _announce)))
        except OSError as error:
            raise CommandFailed(f"cannot listen on {listen} or write the ledger: {error.strerror or error}") from None


def main(ready: Callable[[], object]) -> None:
    """Run one of these two, where the command line begins with it, without the other verbs (running.py)."""
    root = new_root()
    root.add_typer(commands)
    run(root, ready)


def _announce(origin: str) -> None:
    note(f"simulator listens on {origin} (OpenAI and Anthropic; /_simulator/calls tells what it received)")


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not host.isascii() or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise CommandFailed(f"{text!r} is not HOST:PORT, such as {DEFAULT_SIMULATOR}", EXIT_USAGE)
    return host.strip("[]"), int(port)
