"""Sets up what the demo plays on, a simulator, a proxy and users on free ports, and takes all of it down again.

Counterpart: `demo_story.py`, which is given the stage and knows nothing of how it is built.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from proxy.cli.admin_client import AdminClient, connect
from proxy.cli.demo_screen import Screen
from proxy.cli.demo_story import AGENT, tell
from proxy.cli.demo_traffic import Traffic
from proxy.cli.failures import CommandFailed
from proxy.core.errors import Refusal
from proxy.server import Server
from proxy.settings import load_settings
from proxy.simulator.app import Simulator
from proxy.simulator.scenario import Scenario

#: A provider that takes its time, so that calls are in flight when the rollback comes.
_PROVIDER = Scenario(delay_ms=40, jitter=0.5)
#: As in a story that is over in a minute.
_JUDGED_EVERY_SECONDS = 0.25


async def play(screen: Screen, length_seconds: float) -> list[str]:
    """The whole demo: what went wrong, in sentences; empty if all went well. Raises CommandFailed if it cannot start."""
    async with AsyncExitStack() as undo:
        home = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="switchback-demo-")))
        simulator = Simulator(_PROVIDER)
        undo.push_async_callback(simulator.stop)
        try:
            await simulator.start()
            settings = load_settings(None, _environment(home, simulator.url))
            server = Server(settings, rollout_tick_seconds=_JUDGED_EVERY_SECONDS)
            undo.push_async_callback(server.stop)
            await server.start()
        except (Refusal, OSError) as error:
            raise CommandFailed(f"the demo cannot start: {error}") from None
        traffic = Traffic(server.traffic_url, f"{server.admin_url}/metrics", AGENT)
        await undo.enter_async_context(traffic)
        users = asyncio.ensure_future(traffic.run())
        undo.push_async_callback(_end, users)
        return await tell(_admin(server), traffic, screen, length_seconds)
    raise AssertionError("the stack passes every exception on")


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _admin(server: Server) -> AdminClient:
    return connect(server.admin_url, server.admin_token_path, {})


def _environment(home: Path, provider_url: str) -> dict[str, str]:
    """Nothing of the user's own settings."""
    return {
        "SWITCHBACK_HOME": str(home),
        "SWITCHBACK_LISTEN": "127.0.0.1:0",
        "SWITCHBACK_ADMIN__LISTEN": "127.0.0.1:0",
        "SWITCHBACK_PROVIDERS__OPENAI__BASE_URL": provider_url,
        "SWITCHBACK_TIMEOUTS__DRAIN_SECONDS": "2",
    }
