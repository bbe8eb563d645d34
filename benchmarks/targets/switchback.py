"""Switchback under test: the real command with a settings file, set up by an operator over the admin API, all features on.

Every call is routed by its path to an agent whose label is in a 10 % rollout, resolved for its user, held under two caps,
rewritten (prompt with a variable, a parameter), metered, priced, recorded in SQLite, logged as a JSON line and counted.
"""

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.load.messages import MODEL
from benchmarks.processes import ServerProcess, free_port
from benchmarks.targets.target import Place, Running, Target
from proxy import __version__

ROOT = Path(__file__).resolve().parents[2]
AGENT = "bench"
_START_SECONDS = 20
_PROMPT = (
    "You route tickets of {{product}} to the right team. Answer with one sentence that names the team and says why. "
    "Never promise a refund, never ask for card numbers, and keep a friendly tone whatever the customer writes."
)


class Operator:
    """Somebody with the admin token."""

    def __init__(self, admin_port: int, token: str) -> None:
        self._token = token
        self._connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=30)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One admin call; its answer. Raises RuntimeError with what the proxy said."""
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", content, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said.decode('utf-8', 'replace')[:400]}")
        return json.loads(said) if said else None


class RunningSwitchback(Running):
    """Switchback, with what only it has."""

    def __init__(self, port: int, process: ServerProcess, admin_port: int, home: Path) -> None:
        super().__init__(port=port, path=f"/a/{AGENT}/v1/chat/completions", process=process)
        self.admin_port = admin_port
        self.home = home
        self.operator = Operator(admin_port, (home / "admin-token").read_text().strip())

    def set_up(self) -> None:
        """An agent with two versions, its label in a 10 % rollout, two caps that place holds on every call."""
        ask = self.operator.request
        ask("POST", "/agents", {"agent": AGENT, "description": "measured", "why": "benchmark"})
        for parent, temperature in ((None, 0.2), (1, 0.4)):
            version = {
                "parent": parent,
                "message": "measured",
                "prompt": {"text": _PROMPT, "variables": {"product": {"default": "Acme"}}},
                "model": {"provider": "openai", "name": MODEL, "parameters": {"temperature": temperature}},
            }
            ask("POST", f"/agents/{AGENT}/versions", version)
        ask("PUT", f"/agents/{AGENT}/labels/prod", {"version": 1, "why": "benchmark"})
        for scope in ({"agent": AGENT}, {}):
            cap = {"scope": scope, "window": "day", "unit": "usd", "limit": 100_000_000, "why": "benchmark"}
            ask("POST", "/caps", cap)
        self.start_rollout(10)

    def start_rollout(self, percentage: float) -> None:
        """Give the second version a share of the label's traffic."""
        rollout = {"label": "prod", "candidate": 2, "percentage": percentage, "why": "benchmark"}
        self.operator.request("POST", f"/agents/{AGENT}/rollouts", rollout)


def start(place: Place) -> RunningSwitchback:
    """Start and set up a fresh Switchback. Raises StartFailed, RuntimeError."""
    port, admin_port, home = free_port(), free_port(), place.folder / "home"
    settings = {
        "listen": f"127.0.0.1:{port}",
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "timeouts": {"drain_seconds": 1},
        "providers": {
            "openai": {
                "wire": "openai",
                "base_url": f"http://127.0.0.1:{place.provider_port}",
                "api_key": "sk-provider",
            }
        },
    }
    config = place.folder / "switchback.yaml"
    config.write_text(yaml.safe_dump(settings))
    process = ServerProcess(
        [sys.executable, "-m", "proxy", "serve", "--config", str(config)],
        core=place.core,
        output=place.folder / "switchback.log",
        cwd=ROOT,
        env={"SWITCHBACK_HOME": str(home)},
    )
    try:
        process.wait_for_port(admin_port, _START_SECONDS)
        process.wait_for_port(port, _START_SECONDS)
        running = RunningSwitchback(port, process, admin_port, home)
        running.set_up()
    except BaseException:
        process.stop()
        raise
    return running


SWITCHBACK = Target(
    name="switchback",
    kind="subject",
    setup="one worker, all features on: routing, 10 % rollout, two caps with holds, SQLite runs, JSON log, metrics",
    missing=lambda: None,
    version=lambda: __version__,
    start=start,
)
