"""Nothing in the README is unverified: its tour runs, its settings, routes and metrics are the real ones."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from proxy.settings import Settings
from proxy.simulator.app import Simulator
from tests.harness import Deployment, deployed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


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
    assert {name for name in exposed if not name.endswith("_created")} == documented


async def test_every_admin_route_is_in_the_readme_and_no_other(deployment: Deployment) -> None:
    paths = (await deployment.operator.get("/openapi.json"))["paths"]
    real = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    documented: set[str] = set()
    for methods, path, more in re.findall(r"`([A-Z, ]+) ([^`]+)`((?:, `/[a-z-]+`)*)", section("routes")):
        full = path.replace("…", "/agents/{agent}")
        siblings = [full.rsplit("/", 1)[0] + tail for tail in re.findall(r"`(/[a-z-]+)`", more)]
        documented |= {f"{method} {one}" for method in methods.split(", ") for one in (full, *siblings)}
    assert {route.replace("/api/v1", "") for route in real} == documented


def test_the_commands_of_the_readme_install_from_the_lock_files() -> None:
    (demo,), (test,) = blocks("demo-command"), blocks("test-command")
    assert "requirements.lock" in demo
    assert demo.rstrip().endswith("switchback demo")
    assert "tests/requirements.lock" in test
    assert test.rstrip().endswith("pytest")


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


def test_the_image_is_compiled_and_has_no_compiler() -> None:
    build, image = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-2:]
    assert "gcc" in build
    assert "HATCH_BUILD_HOOKS_ENABLE=1" in build
    assert "gcc" not in image
