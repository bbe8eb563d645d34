"""Fixtures every folder may use, and how tests with made-up input run.

The suite tries the same inputs every time, so that a commit that was green stays green. `HYPOTHESIS_PROFILE=explore` tries others
at every run; what it finds becomes an example of its test (.github/CONTRIBUTING.md). No test of the kind has a deadline: how long
an input takes says something of the machine.
"""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness import Deployment, deployed

settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# With `nohup`, or in the background of a shell, the suite is started with these ignored, and every process it starts would ignore
# them too. A handler is not handed down.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A fresh deployment with default settings."""
    async with deployed(tmp_path / "home") as running:
        yield running
