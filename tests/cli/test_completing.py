"""The shell completes names that the server has: in bash as people have it, by the same words in zsh, and never with a failure."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli.app import app
from tests.cli.conftest import TOKEN, StandIn

_LABELS = {"items": [{"label": "prod"}, {"label": "staging"}], "next": None}
#: Words as they stand on the command line; the last is what the key was pressed behind.
LINES = {
    "ag": "agents",
    "versions show ": "billing support-triage",
    "rollback bil": "billing",
    "label billing ": "prod staging",
    "label billing prod ": "12 2 1",
    "versions show billing ": "12 2 1 prod staging latest",
    "diff billing st": "staging",
    "rollout start billing --candidate 1": "12 1",
    "rollout show billing ": "r1",
    "runs list --agent bil": "billing",
    "runs list --agent billing --version 1": "12 1",
    "runs list --result e": "error",
    "tokens create ann --role a": "author admin",
    "caps set --limit 1 --window m": "minute month",
    "restore sw_": "sw_1",
    "rollback billing --to ": "12 2 1",
    "rollback billing --label ": "prod staging",
    "label nobody ": "",
}
_BASH = """
eval "$(switchback --show-completion bash)"
while IFS= read -r COMP_LINE; do
  read -ra COMP_WORDS <<< "$COMP_LINE"
  [[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMPREPLY=()
  _switchback_completion switchback "${COMP_WORDS[$COMP_CWORD]}" ""
  echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture
def environment(admin: StandIn, tmp_path: Path) -> dict[str, str]:
    """What a shell has where the command is on the path and the admin server answers."""
    agents = {"items": [{"agent": "billing"}, {"agent": "support-triage"}], "next": None}
    admin.answer("GET", "/agents", agents)
    admin.answer("GET", "/agents/billing/labels", _LABELS)
    versions = {"items": [{"version": number} for number in (12, 2, 1)], "next": None}
    admin.answer("GET", "/agents/billing/versions", versions)
    admin.answer("GET", "/agents/billing/rollouts", {"items": [{"id": "r1"}], "next": None})
    admin.answer("GET", "/switches", {"items": [{"id": "sw_1"}], "next": None})
    command = tmp_path / "switchback"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m proxy "$@"\n')
    command.chmod(0o755)
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    return {**os.environ, **paths, "SWITCHBACK_ADMIN_URL": admin.url, "SWITCHBACK_TOKEN": TOKEN}


async def _run(*command: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, command, input=given, capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def _completed(line: str) -> str:
    """What the command says when the key is pressed, in this process."""
    words = f"switchback {line}"
    asked = {"_SWITCHBACK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        for name, value in asked.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit):
            app(args=[], prog_name="switchback")
    return " ".join(said.getvalue().split())


@pytest.mark.parametrize(("line", "offered"), LINES.items())
async def test_names_ids_and_choices_are_offered(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, line: str, offered: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(_completed, line) == offered


async def test_bash_completes_as_people_have_it(environment: dict[str, str]) -> None:
    lines = {line: LINES[line] for line in ("rollback bil", "versions show billing ")}
    given = "".join(f"switchback {line}\n" for line in lines)
    done = await _run("bash", "-c", _BASH, given=given, **environment)
    assert dict(zip(lines, done.stdout.splitlines(), strict=True)) == lines, done.stderr


async def test_zsh_is_told_the_same(environment: dict[str, str]) -> None:
    asked = {"_SWITCHBACK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "switchback label billing "}
    done = await _run("switchback", **environment, **asked)
    assert '"prod"' in done.stdout
    assert '"staging"' in done.stdout


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://", "not an address"])
async def test_a_server_that_is_away_has_nothing_to_offer_and_nothing_is_said(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], url: str
) -> None:
    for name, value in {**environment, "SWITCHBACK_ADMIN_URL": url}.items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(_completed, "versions show ") == ""
    assert capfd.readouterr() == ("", "")
