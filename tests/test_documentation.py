"""Nothing in the README is unverified: its tour runs, its settings, routes and metrics are the real ones."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import BaseModel

from proxy.assembly import wires
from proxy.cli import failures
from proxy.core.addresses import Address
from proxy.core.errors import NotFound
from proxy.runtime.calls.routing import Routes
from proxy.settings import DialectName, Settings, load_settings
from proxy.simulator.app import Simulator
from proxy.wires.dialects import DIALECTS
from proxy.wires.families import FAMILIES
from tests.acceptance.test_listening import SERVED
from tests.harness import Deployment, deployed, ended

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WIRES = wires(Settings())


def blocks(marker: str) -> list[str]:
    """The shell blocks behind a marker."""
    return re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)```", README, re.DOTALL)


def section(marker: str) -> str:
    """The table or paragraph behind a marker."""
    return README.split(f"<!-- {marker} -->\n", 1)[1].split("\n\n", 1)[0]


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        nested: Any = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from keys_of(nested, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    documented = re.findall(r"^\| `([a-z_.]+)` \|", section("settings"), re.MULTILINE)
    assert sorted(documented) == sorted(keys_of(Settings))


async def test_every_metric_is_in_the_readme_and_no_other(deployment: Deployment) -> None:
    async with deployment.session.get(f"{deployment.server.admin_url}/metrics") as answer:
        exposed = set(re.findall(r"^# TYPE (switchback_\w+)", await answer.text(), re.MULTILINE))
    documented = set(re.findall(r"`(switchback_\w+)`", section("metrics")))
    assert exposed == documented


async def test_every_admin_route_is_in_the_readme_and_no_other(deployment: Deployment) -> None:
    paths = (await deployment.operator.get("/openapi.json"))["paths"]
    real = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/api/v1/")
    } - {f"HEAD {path}" for path in paths}
    documented: set[str] = set()
    for methods, path, more in re.findall(r"`([A-Z, ]+) ([^`]+)`((?:, `/[a-z-]+`)*)", section("routes")):
        full = path.replace("…", "/agents/{agent}")
        siblings = [full.rsplit("/", 1)[0] + tail for tail in re.findall(r"`(/[a-z-]+)`", more)]
        documented |= {f"{method} {one}" for method in methods.split(", ") for one in (full, *siblings)}
    assert {route.replace("/api/v1", "") for route in real} == documented


def test_the_commands_of_the_readme_install_from_the_lock_files() -> None:
    (demo,), (test,) = blocks("demo-command"), blocks("test-command")
    # One line each, to be pasted into a fresh checkout.
    assert demo.count("\n") == test.count("\n") == 1
    assert demo.startswith("python3 -m venv .venv && ")
    assert test.startswith("python3 -m venv .venv && ")
    assert "requirements.lock" in demo
    assert demo.rstrip().endswith("switchback demo")
    assert "tests/requirements.lock" in test
    assert test.rstrip().endswith("pytest")


def test_what_the_app_of_the_tour_imports_is_installed_by_its_setup() -> None:
    (setup,) = blocks("tour-setup")
    assert "$PWD/.venv/bin" in setup
    installed = set(setup.split("pip install -q ")[1].split())
    apps = [app for block in blocks("tour") for app in re.findall(r"<<'APP'\n(.*?)\nAPP\n", block, re.DOTALL)]
    imported = {name for app in apps for name in re.findall(r"^(?:from|import) (\w+)", app, re.MULTILINE)}
    assert imported
    assert imported <= installed | sys.stdlib_module_names


def endpoints() -> Iterator[tuple[str, str, list[str]]]:
    """Method, path and what the table says of it."""
    for row in section("endpoints").splitlines()[2:]:
        first, *said = (cell.strip() for cell in row.strip("|").split("|"))
        for method, path in re.findall(r"`([A-Z]+) (/[^`]+)`", first):
            yield method, path, said


@pytest.mark.parametrize(("method", "path", "said"), list(endpoints()))
def test_the_table_of_endpoints_says_what_the_proxy_does(method: str, path: str, said: list[str]) -> None:
    try:
        operation = Routes(WIRES).route(method, path.encode(), None).operation
    except NotFound:
        assert said == ["404", "", ""]
        return
    usage = "free" if not operation.is_billable else "metered and priced" if operation.is_metered else "not metered"
    applied = "refused" if operation.could_apply else "passed"
    in_force = "in force where it names a model for embeddings" if operation.takes_embeddings_model else "in force"
    assert said == [
        in_force if operation.is_in_force or operation.takes_embeddings_model else f"not applied: {applied}",
        usage,
        {"metered and priced": "holds", "not metered": "refuses what it cannot price", "free": "passes"}[usage],
    ]


def test_every_operation_that_a_wire_meters_is_in_the_table_of_endpoints() -> None:
    told = {path for method, path, _ in endpoints() if method == "POST"}
    known = {"/" + "/".join(rule.segments) for family in FAMILIES.values() for rule in family.paths}
    metered = {path for path in known for wire in WIRES if wire.operation("POST", path) is not None}
    assert metered
    assert metered <= told


def test_the_table_of_dialects_is_that_of_the_code_and_the_settings_know_their_names() -> None:
    rows = [
        [cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in section("dialects").splitlines()[2:]
    ]
    assert rows == [
        [
            dialect.name,
            dialect.base_url or "of your own",
            "asked" if dialect.takes_stream_options else "left out",
            dialect.output_bound,
            "yes" if dialect.tells_cost else "no",
        ]
        for dialect in DIALECTS.values()
    ]
    assert set(get_args(DialectName)) == set(DIALECTS)


def test_the_exit_codes_are_those_of_the_command() -> None:
    told = dict(re.findall(r"^\| `(\d+)` \| (.+) \|$", section("exit-codes"), re.MULTILINE))
    assert told == {str(code): meaning for code, meaning in failures.EXIT_CODES.items()}
    assert {
        value for name, value in vars(failures).items() if name.startswith("EXIT_") and isinstance(value, int)
    } <= set(failures.EXIT_CODES)


async def test_the_tour_runs_as_it_is_written(tmp_path: Path) -> None:
    simulator = Simulator()
    await simulator.start()
    home = tmp_path / ".switchback"
    async with deployed(home, simulator=simulator) as deployment:
        traffic = deployment.server.traffic_url.removeprefix("http://")
        admin = deployment.server.admin_url.removeprefix("http://")
        script = "\n".join(blocks("tour")).replace("127.0.0.1:8100", traffic).replace("127.0.0.1:8101", admin)
        commands = tmp_path / "bin"
        commands.mkdir()
        (commands / "switchback").write_text(f'#!/bin/sh\nexec {sys.executable} -m proxy "$@"\n')
        (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        for command in commands.iterdir():
            command.chmod(0o755)
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", script,
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={
                "PATH": f"{commands}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "SWITCHBACK_ADMIN_URL": deployment.server.admin_url,
            },
        )  # fmt: skip
        async with ended(process):
            output = (await process.communicate())[0].decode()
        assert process.returncode == 0, output
        assert "support-triage@" in output
        assert "switchback_runs_total" in output
        kinds = [row["kind"] for row in (await deployment.operator.get("/agents/support-triage/releases"))["items"]]
        assert kinds == ["rolled_back", "rollout_started", "label_moved"]
        assert (await deployment.operator.get("/switches"))["items"] == []
        assert deployment.simulator.calls[-1].system == "You route tickets for Acme."
    await simulator.stop()


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.yaml")), ids=lambda path: path.name)
def test_no_example_names_a_machine(path: Path) -> None:
    assert "/home/" not in path.read_text()


def test_the_image_copies_only_what_exists_and_runs_as_nobody() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            sources = line.split()[1:-1]
            assert all((ROOT / source).exists() for source in sources), line
            assert all(f"!{source}" in let_through for source in sources), line
    assert "USER 65532" in dockerfile


def test_what_sqlite_sorts_on_disk_is_beside_the_database_where_nothing_else_can_be_written() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    folders = dict(re.findall(r"(SQLITE_TMPDIR|SWITCHBACK_HOME)=(\S+)", dockerfile))
    assert folders["SQLITE_TMPDIR"] == folders["SWITCHBACK_HOME"]


def environment_of_the_image() -> dict[str, str]:
    dockerfile = (ROOT / "Dockerfile").read_text()
    return dict(re.findall(r"(SWITCHBACK_\w+)=(\S+)", dockerfile))


async def test_the_image_is_healthy_while_the_server_is_ready(deployment: Deployment) -> None:
    """The check of the Dockerfile, word for word but for the port."""
    assert load_settings(None, environment_of_the_image()).admin.listen == Address("0.0.0.0", 8101)
    words = json.loads((ROOT / "Dockerfile").read_text().split("CMD ", 1)[1].splitlines()[0])
    port = str(urlsplit(deployment.server.admin_url).port)

    async def checked() -> int | None:
        script = words[2].replace("8101", port)
        check = await asyncio.create_subprocess_exec(sys.executable, words[1], script, stderr=subprocess.DEVNULL)
        async with ended(check):
            await check.communicate()
        return check.returncode

    assert words[0] == "python"
    assert await checked() == 0
    await deployment.server.stop()
    assert await checked() != 0


async def test_the_image_is_healthy_over_tls_too(tmp_path: Path) -> None:
    words = json.loads((ROOT / "Dockerfile").read_text().split("CMD ", 1)[1].splitlines()[0])
    async with deployed(
        tmp_path / "home", admin={"listen": "127.0.0.1:0", "tls": {"certificate": SERVED}}
    ) as deployment:
        script = words[2].replace("8101", str(urlsplit(deployment.server.admin_url).port))
        check = await asyncio.create_subprocess_exec(sys.executable, words[1], script, stderr=subprocess.DEVNULL)
        async with ended(check):
            await check.communicate()
        assert check.returncode == 0


def test_the_compose_file_serves_this_machine_alone_with_settings_that_hold() -> None:
    path = ROOT / "config" / "compose.yaml"
    service = yaml.safe_load(path.read_text())["services"]["switchback"]
    assert (path.parent / service["build"] / "Dockerfile").exists()
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    said = [line.partition("=") for line in service["environment"]]
    for key in ("", "sk-of-the-shell"):
        environment = {name: value or key for name, _, value in said if value or key}
        settings = load_settings(None, environment_of_the_image() | environment)
        assert [address.port for address in settings.traffic_addresses] == [8100]
        assert (settings.providers["openai"].api_key is not None) == bool(key)
        assert settings.admin.hosts == ("switchback",)
        assert settings.home == Path(service["volumes"][0].partition(":")[2])
        assert int(service["stop_grace_period"].removesuffix("s")) > settings.timeouts.drain_seconds


def test_the_image_is_compiled_and_has_no_compiler() -> None:
    build, image = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-2:]
    assert "gcc" in build
    assert "HATCH_BUILD_HOOKS_ENABLE=1" in build
    assert "gcc" not in image
