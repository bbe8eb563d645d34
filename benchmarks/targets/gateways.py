"""The LLM gateways: LiteLLM's proxy and Portkey's gateway, each one process with the provider as its only backend.

Both are set up as plainly as they can be: no database, no cache, no guardrails, no request log. They do less here than
Switchback, which runs with all its features on.
"""

import json
import re
import shutil
import subprocess
from string import Template

from benchmarks.install_peers import PEERS
from benchmarks.load.messages import MODEL
from benchmarks.processes import ServerProcess, free_port
from benchmarks.targets.target import Place, Running, Target

_START_SECONDS = 90
_LITELLM = PEERS / "litellm" / "bin"
_PORTKEY = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway"

_LITELLM_CONFIG = Template("""\
model_list:
  - model_name: $model
    litellm_params:
      model: openai/$model
      api_base: http://127.0.0.1:$provider/v1
      api_key: sk-provider
litellm_settings:
  telemetry: false
  turn_off_message_logging: true
general_settings:
  disable_spend_logs: true
""")


def _missing_litellm() -> str | None:
    return None if (_LITELLM / "litellm").exists() else "not installed (python benchmarks/install_peers.py litellm)"


def _litellm_version() -> str:
    script = "import importlib.metadata as m; print(m.version('litellm'))"
    done = subprocess.run(
        [str(_LITELLM / "python"), "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.strip() or "unknown"


def _start_litellm(place: Place) -> Running:
    port = free_port()
    config = place.folder / "litellm.yaml"
    config.write_text(_LITELLM_CONFIG.substitute(model=MODEL, provider=place.provider_port))
    command = [str(_LITELLM / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    return _running([*command, "--num_workers", "1"], place, port, env, {})


def _missing_portkey() -> str | None:
    if not (_PORTKEY / "package.json").exists():
        return "not installed (python benchmarks/install_peers.py portkey)"
    return None if shutil.which("node") else "node is not installed"


def _portkey_version() -> str:
    return json.loads((_PORTKEY / "package.json").read_text())["version"]


def _start_portkey(place: Place) -> Running:
    port = free_port()
    command = [
        shutil.which("node") or "node",
        str(_PORTKEY / "build" / "start-server.js"),
        f"--port={port}",
        "--headless",
    ]
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{place.provider_port}/v1",
    }
    env = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    return _running(command, place, port, env, headers)


def _running(command: list[str], place: Place, port: int, env: dict[str, str], headers: dict[str, str]) -> Running:
    process = ServerProcess(command, core=place.core, output=place.folder / "output.log", cwd=place.folder, env=env)
    try:
        process.wait_for_port(port, _START_SECONDS)
    except BaseException:
        process.stop()
        raise
    return Running(port=port, process=process, headers=headers)


def node_version() -> str:
    """Of the Node.js that runs Portkey's gateway."""
    node = shutil.which("node")
    if node is None:
        return "none"
    done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return re.sub(r"^v", "", done.stdout.strip())


LITELLM = Target(
    name="litellm",
    kind="gateway",
    setup="one worker, no database, spend log off",
    missing=_missing_litellm,
    version=_litellm_version,
    start=_start_litellm,
)
PORTKEY = Target(
    name="portkey",
    kind="gateway",
    setup="one Node.js process, custom host",
    missing=_missing_portkey,
    version=_portkey_version,
    start=_start_portkey,
)
