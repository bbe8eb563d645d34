"""`switchback demo`: a provider, a proxy and users on this machine, a canary that is promoted and one that is taken back.

Here everything is started and stopped again, down to the temporary directory; the story is in `demo_story.py`, the users
are in `demo_traffic.py`, what is seen is in `demo_screen.py`.
"""

import sys
from typing import Annotated

import typer

from proxy.cli.admin_command import example_text, failures_explained, new_group
from proxy.cli.failures import EXIT_FAILED, EXIT_INTERRUPTED
from proxy.cli.telling import note

commands = new_group()

NORMAL_SECONDS = 45.0
FAST_SECONDS = 4.0


@commands.command(epilog=example_text("switchback demo", "switchback demo --fast"))
def demo(
    seconds: Annotated[
        float, typer.Option(metavar="NUMBER", min=FAST_SECONDS, max=120, help="How long it shall take, about.")
    ] = NORMAL_SECONDS,
    fast: Annotated[bool, typer.Option("--fast", help="As short as it can be.")] = False,
) -> None:
    """Watch one canary be promoted and one be taken back on evidence: no key, no network, nothing is left behind.

    Exit code 0 says that the canary got its share and that nobody got the bad version after it was taken back.
    """
    # Heavy: a whole proxy, a provider and users.
    import uvloop  # noqa: PLC0415

    from proxy.cli.demo_screen import screen_for  # noqa: PLC0415
    from proxy.cli.demo_stage import play  # noqa: PLC0415
    from proxy.cli.until_signal import until_signal  # noqa: PLC0415

    length_seconds = FAST_SECONDS if fast else seconds
    with failures_explained(), screen_for(sys.stdout, length_seconds) as screen:
        problems = uvloop.run(until_signal(play(screen, length_seconds)))
    if problems is None:
        note("interrupted; everything is stopped and removed")
        raise typer.Exit(EXIT_INTERRUPTED)
    for problem in problems:
        note(f"error: {problem}")
    if problems:
        raise typer.Exit(EXIT_FAILED)
