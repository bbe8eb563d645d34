"""The description proved by strangers: a generated Python client and generated TypeScript types compile and run against a real
server, and schemathesis finds no answer that is not described.

The group needs `.clients`, an environment of its own that .ci/run makes from the lock files beside this module.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Deployment, deployed

HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / ".clients"
#: Whoever asks without a token is refused with 429 from the eleventh time in a minute on.
RATE_LIMITED = ("Missing required header accepted", "Unexpected response to a request without authentication")
pytestmark = [pytest.mark.clients, pytest.mark.timeout(240)]


async def run(*command: str | Path, cwd: Path, is_free: bool = False) -> str:
    """What a command says; it must end with 0 unless `is_free`."""
    assert TOOLS.is_dir(), "these tests need .clients (.ci/run makes it); leave them out with -m 'not clients'"
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told = (await process.communicate())[0].decode()
    assert is_free or process.returncode == 0, told
    return told


async def described(deployment: Deployment, folder: Path) -> tuple[Path, str]:
    """The description in a file of `folder`, and the admin token."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(await deployment.operator.get("/openapi.json")))
    return file, deployment.server.admin_token_path.read_text().strip()


async def test_a_generated_python_client_runs(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home") as deployment:
        file, token = await described(deployment, tmp_path)
        generator = TOOLS / "bin" / "openapi-python-client"
        said = await run(
            generator,
            "generate",
            "--path",
            file,
            "--output-path",
            tmp_path / "admin_api",
            "--meta",
            "none",
            cwd=tmp_path,
        )
        assert "removal" not in said, said
        python = TOOLS / "bin" / "python"
        told = await run(python, HERE / "story.py", tmp_path, deployment.server.admin_url, token, cwd=tmp_path)
        assert told == "told\n"


async def test_generated_typescript_types_compile_and_run(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home") as deployment:
        file, token = await described(deployment, tmp_path)
        (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
        (tmp_path / "package.json").write_text('{"type": "module"}')
        shutil.copy(HERE / "story.ts", tmp_path)
        binaries = TOOLS / "node_modules" / ".bin"
        await run(binaries / "openapi-typescript", file, "-o", "api.d.ts", "--default-non-nullable=false", cwd=tmp_path)
        options = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")
        await run(binaries / "tsc", *options, "story.ts", cwd=tmp_path)
        assert await run("node", "story.js", deployment.server.admin_url, token, cwd=tmp_path) == "told\n"


def failures(report: Path) -> Iterator[tuple[str, str]]:
    """Title and full text of each failure that a run's report has."""
    for line in report.read_text().splitlines():
        yield from found_in(json.loads(line))


def found_in(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if value.get("failure_info"):
            failure = value["failure_info"]["failure"]
            yield failure["title"], json.dumps(failure)
        for inner in value.values():
            yield from found_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from found_in(inner)


async def test_schemathesis_finds_no_answer_that_is_not_described(tmp_path: Path) -> None:
    async with deployed(tmp_path / "home") as deployment:
        url = deployment.server.admin_url
        file, token = await described(deployment, tmp_path)
        report = tmp_path / "report.ndjson"
        bounds = ("--seed", "1", "--max-examples", "2", "--max-time", "50", "--phases", "examples,coverage,fuzzing")
        said = await run(
            TOOLS / "bin" / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", file, "--url", url,
            "--header", f"Authorization: Bearer {token}", "--checks", "all", *bounds, "--no-color",
            "--report-ndjson-path", report, cwd=tmp_path, is_free=True,
        )  # fmt: skip
        assert "Test cases:" in said, said
        found = list(failures(report))
        # More than ten requests had no token, so that the report is read where there are some.
        assert found != []
        unexpected = [text for title, text in found if title not in RATE_LIMITED or "429" not in text]
        assert unexpected == [], said
