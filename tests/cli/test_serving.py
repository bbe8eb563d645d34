"""`switchback serve` and `switchback simulate` as processes of their own, and a tour of the admin verbs on a real server."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli.app import app
from proxy.cli.serving import ORDERS
from proxy.simulator.scenario import Scenario
from tests.harness import signalled_until_gone

DEADLINE_SECONDS = 60


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator:
    """`await start("serve")`: the command as a process in an empty directory."""
    started: list[asyncio.subprocess.Process] = []

    async def run(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), **variables}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy", *arguments, cwd=tmp_path, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _says(process: asyncio.subprocess.Process) -> str:
    line = await asyncio.wait_for(process.stderr.readline(), DEADLINE_SECONDS)
    return line.decode()


async def _ends(process: asyncio.subprocess.Process) -> tuple[int, str]:
    _, err = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    return process.returncode, err.decode()


async def _get(url: str, path: str) -> str:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), DEADLINE_SECONDS)
    writer.close()
    await writer.wait_closed()
    return answer.decode()


ANY_PORTS = {"SWITCHBACK_LISTEN": "127.0.0.1:0", "SWITCHBACK_ADMIN__LISTEN": "127.0.0.1:0"}


async def test_serve_says_where_it_listens_and_ends_well_when_told_to(start, tmp_path: Path):
    server = await start("serve", **ANY_PORTS)
    said = await _says(server)
    traffic, admin = re.findall(r"http://127\.0\.0\.1:\d+", said)
    token = (tmp_path / ".switchback" / "admin-token").read_text().strip()
    assert ".switchback/admin-token" in said
    assert token not in said
    assert "200 OK" in await _get(admin, "/livez")
    assert traffic != admin
    server.terminate()
    assert await _ends(server) == (0, "")


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_closed_terminal_ends_it_as_well_as_being_told_to(start, workers: str):
    server = await start("serve", SWITCHBACK_WORKERS=workers, **ANY_PORTS)
    await _says(server)
    server.send_signal(signal.SIGHUP)
    assert await _ends(server) == (0, "")


async def test_bad_settings_are_told_one_a_line_with_exit_code_2(start, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("lisen: 127.0.0.1:1\nadmin: {listen: nowhere}\nworkers: many\n")
    code, err = await _ends(await start("serve", "--config", "bad.yaml"))
    assert code == 2
    assert all(line.startswith("error: ") for line in err.splitlines())
    assert "did you mean listen?" in err
    assert "admin.listen" in err


async def test_a_port_that_is_taken_is_told_without_a_traceback(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = await start("serve", **{**ANY_PORTS, "SWITCHBACK_LISTEN": address})
        simulator = await start("simulate", "--listen", address)
        for process in (server, simulator):
            code, err = await _ends(process)
            assert code == 1
            assert "Traceback" not in err
            assert err


async def test_simulate_says_where_it_listens_answers_and_ends_well(start, tmp_path: Path):
    simulator = await start(
        "simulate", "--listen", "127.0.0.1:0", "--slow", "--error-rate", "0.5", "--order", "events=3", "--ledger", "bills"
    )  # fmt: skip
    (origin,) = re.findall(r"http://127\.0\.0\.1:\d+", await _says(simulator))
    answer = await _get(origin, "/_simulator/scenario")
    scenario = json.loads(answer.partition("\r\n\r\n")[2])
    assert (scenario["slow"], scenario["error_rate"], scenario["events"]) == (True, 0.5, 3)
    simulator.terminate()
    assert await _ends(simulator) == (0, "")
    assert (tmp_path / "bills").exists()


async def test_simulate_told_to_stop_again_and_again_ends_as_well(start):
    simulator = await start("simulate", "--listen", "127.0.0.1:0")
    await _says(simulator)
    await signalled_until_gone(simulator.pid, signal.SIGTERM, signal.SIGINT)
    assert await _ends(simulator) == (0, "")


@pytest.mark.parametrize("options", [("--order", "nonsense=1"), ("--listen", "here"), ("--error-rate", "2")])
async def test_orders_that_nobody_can_follow_are_wrong_usage(start, options):
    code, err = await _ends(await start("simulate", *options))
    assert code == 2
    assert "Traceback" not in err


TOUR = [
    "status",
    "agents create triage --description Routes",
    "versions create triage --prompt Hello --provider openai --model gpt-4o-mini --temperature 0.2",
    "versions create triage --from 1 --prompt Bye --message second",
    "label triage prod 1 --why first",
    "label triage staging 2",
    "label triage staging --delete",
    "rollout start triage --candidate 2 --percentage 10",
    "rollout show triage",
    "rollout set-percentage triage --percentage 25",
    "agents show triage",
    "rollback triage --why bad",
    "rollback triage",
    "rollout start triage --candidate 2 --percentage 50",
    "rollout promote triage",
    "rollout start triage --candidate 1 --percentage 50",
    "rollout abort triage",
    "rollout list triage",
    "agents releases triage --label prod",
    "kill --agent triage --version 2 --why drill --expires 15m",
    "kill --list",
    "restore --all",
    "caps set --agent triage --limit 0.5",
    "caps set --user * --unit calls --window hour --limit 9",
    "caps list",
    "runs list --agent triage --from 2026-01-01T00:00:00Z",
    "audit list",
    "audit head",
    "agents update triage --description Sorts",
    "versions list triage",
    "versions show triage 2",
    "drill triage --label prod",
    "report label triage prod",
    "agents archive triage",
    "agents list",
]


async def test_every_admin_verb_is_understood_by_a_real_server(start, switchback, tmp_path: Path):
    server = await start("serve", **ANY_PORTS)
    url = re.findall(r"http://127\.0\.0\.1:\d+", await _says(server))[1]
    here = {"SWITCHBACK_ADMIN_URL": url, "SWITCHBACK_TOKEN": None}
    for number, line in enumerate(TOUR):
        as_json = ["--json"] if number % 2 else []
        result = await switchback(*line.split(), *as_json, **here)
        assert (line, result.exit_code) == (line, 0)
        # Nobody has called yet: what that leaves unknown is said where a label that serves is given something else.
        assert all(said.startswith("warning: no recent call of 'triage'") for said in result.stderr.splitlines()), line
        assert result.stdout
        if as_json:
            json.loads(result.stdout)
    caps = json.loads((await switchback("caps", "list", "--json", **here)).stdout)["items"]
    for cap in caps:
        assert (await switchback("caps", "change", cap["id"], "--limit", "7", **here)).exit_code == 0
        assert (await switchback("caps", "end", cap["id"], **here)).exit_code == 0
    shown = await switchback("caps", "list", **here)
    assert shown.stdout == "no caps: nothing limits what is spent\n"


async def test_the_settings_are_looked_at_without_serving(start, tmp_path: Path) -> None:
    good = await start("serve", "--check", SWITCHBACK_LISTEN="127.0.0.1:1")
    out, _ = await asyncio.wait_for(good.communicate(), DEADLINE_SECONDS)
    assert (good.returncode, out) == (0, b"ok: the settings can be used\n")
    assert not os.listdir(tmp_path)
    unsafe = await start("serve", "--check", SWITCHBACK_ADMIN__LISTEN="0.0.0.0:1")
    code, told = await _ends(unsafe)
    assert (code, "warning: the admin API listens beyond this machine" in told) == (0, True)
    bad = await start("serve", "--check", SWITCHBACK_LISTEM="127.0.0.1:1")
    code, told = await _ends(bad)
    assert code == 2
    assert "did you mean listen?" in told


def test_the_help_of_simulate_lists_every_order() -> None:
    assert ORDERS.split(", ") == [field.name for field in fields(Scenario)]


@pytest.mark.parametrize("listen", ["ü:1", "\udcfc:1", "127.0.0.1", ":8200", "127.0.0.1:port"])
def test_a_simulator_that_cannot_be_reached_by_its_address_does_not_begin(listen: str) -> None:
    result = CliRunner().invoke(app, ["simulate", "--listen", listen])
    assert result.exit_code == 2
    assert "is not HOST:PORT" in result.stderr
