"""Switchback under test: the real command with a settings file, set up by an operator over the admin API, all features on.

Every call is routed by its path to an agent whose label is in a 10 % rollout, resolved for its user, held under two caps,
rewritten (prompt with a variable, a parameter), metered, priced, recorded in SQLite, logged as a JSON line and counted.
What is measured is the compiled form, installed by install_peers.py; the same sources interpreted are a target beside it.
"""

import http.client
import json
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.install_peers import SWITCHBACK as INSTALLED
from benchmarks.install_peers import problem_of_switchback
from benchmarks.load.messages import MODEL
from benchmarks.processes import ServerProcess, free_port
from benchmarks.targets.target import Place, Running, Target
from proxy import __version__

ROOT = Path(__file__).resolve().parents[2]
_CERTIFICATES = ROOT / "tests" / "http1" / "certificates"
#: What a provider over TLS on this machine shows, with its key; it names localhost.
PROVIDER_CERTIFICATE = _CERTIFICATES / "localhost.pem"
COMPILED_PYTHON = INSTALLED / "bin" / "python"
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
        self._admin_port = admin_port

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One admin call; its answer. Raises RuntimeError with what the proxy said."""
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        content = None if body is None else json.dumps(body)
        # A new connection each: a process that was stopped for a while has closed those it kept.
        with closing(http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=30)) as connection:
            connection.request(method, f"/api/v1{path}", content, headers)
            answer = connection.getresponse()
            said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said.decode('utf-8', 'replace')[:400]}")
        return json.loads(said) if said else None


class RunningSwitchback(Running):
    """Switchback, with what only it has. `command` is the command `switchback` of the same form, to be run in `cwd`."""

    def __init__(
        self, port: int, process: ServerProcess, admin_port: int, home: Path, command: list[str], cwd: Path
    ) -> None:
        super().__init__(port=port, path=f"/a/{AGENT}/v1/chat/completions", process=process)
        self.admin_port = admin_port
        self.home = home
        self.command = command
        self.cwd = cwd
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


def _start(place: Place, *, is_compiled: bool, over_tls: bool = False) -> RunningSwitchback:
    """Start and set up a fresh Switchback. Raises StartFailed, RuntimeError."""
    port, admin_port, home = free_port(), free_port(), place.folder / "home"
    provider = f"http://127.0.0.1:{place.provider_port}"
    if over_tls:
        provider = f"https://localhost:{place.tls_provider_port}"
    settings = {
        "listen": f"127.0.0.1:{port}",
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "timeouts": {"drain_seconds": 1},
        "providers": {
            "openai": {
                "wire": "openai",
                "base_url": provider,
                "api_key": "sk-provider",
            }
        },
    }
    config = place.folder / "switchback.yaml"
    config.write_text(yaml.safe_dump(settings))
    # Where the sources cannot be imported in place of what is installed.
    cwd = place.folder if is_compiled else ROOT
    command = [str(COMPILED_PYTHON) if is_compiled else sys.executable, "-m", "proxy"]
    process = ServerProcess(
        [*command, "serve", "--config", str(config)],
        core=place.core,
        output=place.folder / "switchback.log",
        cwd=cwd,
        env={"SWITCHBACK_HOME": str(home), "PYTHONPATH": "", "SSL_CERT_FILE": str(_CERTIFICATES / "authority.pem")},
    )
    try:
        process.wait_for_port(admin_port, _START_SECONDS)
        process.wait_for_port(port, _START_SECONDS)
        running = RunningSwitchback(port, process, admin_port, home, command, cwd)
        if running.operator.request("GET", "/status")["compiled"] is not is_compiled:
            raise RuntimeError("it runs in the other form")
        running.set_up()
    except BaseException:
        process.stop()
        raise
    return running


SWITCHBACK = Target(
    name="switchback",
    kind="subject",
    setup="compiled, one worker, all features on: routing, 10 % rollout, two caps with holds, SQLite runs, JSON log, metrics",
    missing=problem_of_switchback,
    version=lambda: __version__,
    start=partial(_start, is_compiled=True),
)
SWITCHBACK_HTTPS = Target(
    name="switchback-https",
    kind="variant",
    setup="compiled, set up alike, the provider over TLS 1.3",
    missing=problem_of_switchback,
    version=lambda: __version__,
    start=partial(_start, is_compiled=True, over_tls=True),
)
SWITCHBACK_PURE = Target(
    name="switchback-pure",
    kind="variant",
    setup="the same sources, set up alike, not compiled",
    missing=lambda: None,
    version=lambda: __version__,
    start=partial(_start, is_compiled=False),
)
SWITCHBACK_PURE_HTTPS = Target(
    name="switchback-pure-https",
    kind="variant",
    setup="not compiled, the provider over TLS 1.3",
    missing=lambda: None,
    version=lambda: __version__,
    start=partial(_start, is_compiled=False, over_tls=True),
)
