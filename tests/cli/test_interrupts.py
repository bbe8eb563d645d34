"""Ctrl-C ends the command with exit code 130 and without a traceback, whatever it is doing."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from tests.harness import PATIENCE_SECONDS, ended

_DURING_IMPORT = """
import importlib.abc, os, signal, sys

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["switchback", "status"]
from proxy.cli.start import main
main()
"""


@pytest.mark.parametrize("module", ["proxy.cli.app", "typer", "proxy.cli.versions", "rich.table"])
def test_while_it_is_imported(module: str) -> None:
    command = [sys.executable, "-c", _DURING_IMPORT.format(module=module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


_WHILE_PUT_TOGETHER = """
import os, signal, sys, typer.main

usual = typer.main.get_command

def interrupted(app):
    os.kill(os.getpid(), signal.SIGINT)
    return usual(app)

typer.main.get_command = interrupted
sys.argv = ["switchback", "status"]
from proxy.cli.start import main
main()
"""


def test_while_it_is_put_together() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WHILE_PUT_TOGETHER], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("line", ["status", "kill --agent a --why bad", "serve --config {settings}"])
async def test_while_it_waits_for_a_server(line: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One that takes the connection and says nothing; of `serve` it is a settings file that nobody writes."""
    has_come = asyncio.Event()
    folder = tmp_path_factory.mktemp("fifo")
    os.mkfifo(folder / "settings.yaml")

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        has_come.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        environment = {
            "PATH": os.environ["PATH"], "SWITCHBACK_ADMIN_URL": f"http://127.0.0.1:{port}", "SWITCHBACK_TOKEN": "t",
        }  # fmt: skip
        words = line.format(settings=folder / "settings.yaml").split()
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", *words, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with ended(running), asyncio.timeout(PATIENCE_SECONDS):
            if words[0] == "serve":
                # Opening the other end returns when somebody reads.
                writing = await asyncio.to_thread(os.open, folder / "settings.yaml", os.O_WRONLY)
            else:
                await has_come.wait()
            running.send_signal(signal.SIGINT)
            out, err = await running.communicate()
        if words[0] == "serve":
            os.close(writing)
    assert (running.returncode, out, err) == (130, b"", b"")
