"""A rollback that would serve a version again which was just left by hand names it before it acts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.cli.app import app
from tests.cli.terminal import at_a_terminal
from tests.harness import Deployment

Command = Callable[..., Awaitable[Any]]
QUESTION = "serves version 2 again, to everyone. Go on?"


@pytest.fixture
async def moves(deployment: Deployment) -> Callable[..., Awaitable[None]]:
    """Moves prod of an agent with three versions, one after the other."""
    await deployment.operator.agent("support", "one", "two", "three")

    async def move(*versions: int) -> None:
        for version in versions:
            await deployment.operator.label("support", "prod", version)

    return move


@pytest.fixture
def switchback(deployment: Deployment) -> Command:
    """The command without a terminal."""
    options = ["--admin-url", deployment.server.admin_url, "--token-file", str(deployment.server.admin_token_path)]

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, [*words, *options])

    return run


async def served(deployment: Deployment) -> int:
    return (await deployment.operator.get("/agents/support/labels"))["items"][0]["version"]


def environment_of(deployment: Deployment) -> dict[str, str]:
    return {
        "SWITCHBACK_ADMIN_URL": deployment.server.admin_url,
        "SWITCHBACK_TOKEN": deployment.server.admin_token_path.read_text().strip(),
        "COLUMNS": "200",
    }


async def test_an_ordinary_rollback_goes_at_once(deployment: Deployment, moves: Any, switchback: Command) -> None:
    await moves(2, 3)
    assert (await switchback("rollback", "support")).exit_code == 0
    assert await served(deployment) == 2
    # Saying it twice still means the same.
    again = await switchback("rollback", "support")
    assert (again.exit_code, "took it back already" in again.stdout) == (0, True)


async def test_without_a_terminal_it_is_refused_and_says_what_to_say(
    deployment: Deployment, moves: Any, switchback: Command
) -> None:
    await moves(2, 1)
    done = await switchback("rollback", "support")
    assert (done.exit_code, await served(deployment)) == (2, 1)
    told = " ".join(done.stderr.replace("│", " ").split())
    assert "support: prod was taken back from version 2 to 1 with release 3 by admin" in told
    assert "say --to 2, or --yes" in told


@pytest.mark.parametrize("words", [("--yes",), ("-y",), ("--to", "2"), ("--label", "prod", "--yes")])
async def test_who_says_what_is_meant_is_not_asked(
    deployment: Deployment, moves: Any, switchback: Command, words: tuple[str, ...]
) -> None:
    await moves(2, 1)
    assert (await switchback("rollback", "support", *words)).exit_code == 0
    assert await served(deployment) == 2


@pytest.mark.parametrize(("answer", "code", "serves"), [("y", 0, 2), ("n", 1, 1), ("", 1, 1)])
async def test_at_a_terminal_it_is_asked(
    deployment: Deployment, moves: Any, answer: str, code: int, serves: int
) -> None:
    await moves(2, 1)
    seen = await at_a_terminal(("rollback", "support"), environment_of(deployment), asked=QUESTION, answer=answer)
    assert (seen.exit_code, await served(deployment)) == (code, serves), seen.screen
    assert "support: prod was taken back from version 2 to 1 with release 3 by admin" in seen.screen


async def test_ctrl_c_at_the_question_changes_nothing_and_is_quiet(deployment: Deployment, moves: Any) -> None:
    await moves(2, 1)
    seen = await at_a_terminal(("rollback", "support"), environment_of(deployment), asked=QUESTION, interrupt=True)
    assert (seen.exit_code, await served(deployment)) == (130, 1), seen.screen
    assert "Traceback" not in seen.screen
