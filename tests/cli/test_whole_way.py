"""A text goes the whole way through the real command and a real server: store, show, diff, export, sync."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.cli.app import app
from tests.harness import Deployment

BASIC_PLANE = "".join(chr(code) for code in range(0x10000) if not 0xD800 <= code <= 0xDFFF)
OTHER_PLANES = "".join(chr(code) for code in range(0x10000, 0x110000, 101))
HOSTILE = (
    '\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202e[bold]x[/] <script>alert("1")</script> %s $(id) --- \ufeff\u200b\x00 \n\n'
)
#: What a terminal obeys, line feeds aside.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

Command = Callable[..., Awaitable[Any]]


@pytest.fixture
def switchback(deployment: Deployment) -> Command:
    """The command as somebody types it, against the server; it must do what it is told."""
    options = ["--admin-url", deployment.server.admin_url, "--token-file", str(deployment.server.admin_token_path)]

    async def run(*words: object) -> Any:
        line = [*(str(word) for word in words), *options]
        done = await asyncio.to_thread(CliRunner().invoke, app, line)
        assert done.exit_code == 0, done.output[:2000]
        return done

    return run


@pytest.mark.parametrize("text", [BASIC_PLANE, OTHER_PLANES, HOSTILE], ids=["basic plane", "other planes", "hostile"])
async def test_every_character_goes_the_whole_way_unchanged_and_harmless(
    switchback: Command, tmp_path: Path, text: str
) -> None:
    file, exported = tmp_path / "prompt.md", tmp_path / "exported"
    file.write_bytes(text.encode())
    # But for line ends, which are those of new versions.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    await switchback("agents", "create", "a", "--description", HOSTILE)
    await switchback("versions", "create", "a", "--prompt", "before")
    await switchback("versions", "create", "a", "--prompt-file", file, "--message", HOSTILE)
    assert (await switchback("versions", "show", "a", "latest", "--prompt-only")).stdout_bytes == text.encode()
    shown = json.loads((await switchback("diff", "a", "1", "2", "--json")).stdout)
    assert "".join(hunk["text"] for hunk in shown["prompt"] if hunk["op"] != "delete") == text
    for line in (
        ("diff", "a", "1", "2"),
        ("versions", "list", "a"),
        ("versions", "show", "a", "2"),
        ("agents", "show", "a"),
    ):
        assert OBEYED.findall((await switchback(*line)).stdout.replace("\t", "")) == []
    await switchback("agents", "export", exported)
    assert (exported / "a" / "prompt.md").read_bytes() == text.encode()
    told = json.loads((await switchback("sync", exported, "--json")).stdout)["agents"]
    assert [(outcome["result"], outcome["version"], outcome["notes"]) for outcome in told] == [("unchanged", 2, [])]
    again = tmp_path / "again"
    await switchback("agents", "export", again)
    for name in ("agent.yaml", "prompt.md"):
        assert (again / "a" / name).read_bytes() == (exported / "a" / name).read_bytes()


async def test_a_version_composed_of_two_is_what_its_parts_are_and_is_made_once(
    switchback: Command, tmp_path: Path
) -> None:
    (tmp_path / "tools.json").write_text('[{"name": "refund"}]')
    await switchback("agents", "create", "a")
    await switchback("versions", "create", "a", "--prompt", "one", "--tools-file", tmp_path / "tools.json")
    await switchback("versions", "create", "a", "--from", "none", "--prompt", "two", "--model", "gpt-4o-mini")
    made = json.loads((await switchback("versions", "create", "a", "--from", "2", "--tools-of", "1", "--json")).stdout)
    assert (made["version"], made["parent"], made["prompt"]["text"]) == (3, 2, "two")
    assert (made["tools"]["items"], made["model"]["name"]) == ([{"name": "refund"}], "gpt-4o-mini")
    again = await switchback("versions", "create", "a", "--prompt-of", "2", "--model-of", "3", "--tools-of", "1")
    assert again.stdout == "nothing changed: version 3 of a has the same content already\n"
