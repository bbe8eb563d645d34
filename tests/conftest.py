"""Fixtures every folder may use, and how tests with made-up input run.

The suite tries the same inputs every time, so that a commit that was green stays green. `HYPOTHESIS_PROFILE=explore` tries others
at every run; what it finds becomes an example of its test (.github/CONTRIBUTING.md). No test of the kind has a deadline: how long
an input takes says something of the machine.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import cache
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

from proxy.simulator.app import Simulator
from tests.harness import Deployment, deployed

settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
if settings.get_current_profile_name() == "suite":
    # It also tries the constants of all modules loaded so far: other ones in each process, by which files of tests that had before.
    providers._get_local_constants = lambda: providers._local_constants

ROOT = Path(__file__).parent.parent
#: Folders and modules that are left out of `pytest -m "not slow"`: whole deployments and processes, what is counted, proved or killed
#: many times over, what goes through every route, role or row. Fewer than a third of the tests, and most of the time of all of them.
SLOW = (
    "tests/acceptance",
    "tests/hostile",
    "tests/cli/test_app.py",
    "tests/cli/test_demo.py",
    "tests/cli/test_git_verbs.py",
    "tests/cli/test_lost_answers.py",
    "tests/cli/test_plan_sync.py",
    "tests/cli/test_rollback_target.py",
    "tests/cli/test_serving.py",
    "tests/cli/test_store.py",
    "tests/cli/test_sync.py",
    "tests/cli/test_verbs.py",
    "tests/cli/test_whole_way.py",
    "tests/edges/admin/test_admin_listener.py",
    "tests/edges/admin/test_caps_and_switches.py",
    "tests/edges/admin/test_forensics.py",
    "tests/edges/admin/test_preflight.py",
    "tests/edges/admin/test_proposals.py",
    "tests/edges/admin/test_roles.py",
    "tests/edges/admin/test_routes.py",
    "tests/edges/admin/test_run_facts.py",
    "tests/http1/test_body_budget.py",
    "tests/http1/test_hostile_requests.py",
    "tests/http1/test_tls.py",
    "tests/runtime/releasing/test_approval_property.py",
    "tests/runtime/spending/test_clock_histories.py",
    "tests/runtime/spending/test_crash_loops.py",
    "tests/runtime/spending/test_lease_histories.py",
    "tests/runtime/state/test_reading_back.py",
    "tests/runtime/state/test_record_verification.py",
    "tests/runtime/test_random_histories.py",
    "tests/runtime/validation/test_validation.py",
    "tests/runtime/workers/test_worker_lease_histories.py",
    "tests/runtime/workers/test_worker_leases.py",
    "tests/store/sqlite/test_indexes.py",
    "tests/store/test_crash.py",
    "tests/store/test_cut_index.py",
    "tests/store/test_found_files.py",
    "tests/store/test_ledger_property.py",
    "tests/store/test_lost_files.py",
    "tests/store/test_lost_logs.py",
    "tests/store/test_old_databases.py",
    "tests/store/test_one_owner.py",
    "tests/store/test_pruning.py",
    "tests/test_cost_guard.py",
    "tests/test_documentation.py",
    "tests/test_papers.py",
)

# With `nohup`, or in the background of a shell, the suite is started with these ignored, and every process it starts would ignore
# them too. A handler is not handed down.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


# Hundreds of tests start the command. Where Python is told to keep no compiled modules, as in many images, each of those processes
# would compile the whole package again: a third of its start. The processes that run the tests keep theirs too.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Nothing here outlives the machine, so nothing is gained by waiting for its disk: each server syncs some dozens of times before it
# serves. `TMPDIR=/var/tmp pytest` tests on a disk.
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 * 1024**3
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None

# Whom a client of TLS trusts is read anew by every server and every client of an SDK: a twentieth of a second of work for all the
# authorities of a machine, more than the rest of a start. No test needs one of them.
os.environ["SSL_CERT_FILE"] = str(ROOT / "tests" / "http1" / "certificates" / "nobody.pem")


@cache
def _is_slow(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / place) for place in SLOW)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is slow; what needs something installed is not for the fast run either.

    The slow ones come first: of the processes that share the tests, none begins a long file when the others are done.
    """
    for item in items:
        needs_more = any(item.get_closest_marker(name) for name in ("nginx", "clients"))
        if needs_more or _is_slow(item.path):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not _is_slow(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """A test that fails or takes too long leaves no process behind that would take the rest of the suite its processor."""
    failed, before = item.session.testsfailed, _children()
    try:
        return (yield)
    finally:
        if item.session.testsfailed > failed:
            for child in _children() - before:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def _children() -> set[int]:
    """The processes that this one started and that are there; none where the system does not tell."""
    found: set[int] = set()
    for listed in glob("/proc/self/task/*/children"):
        with suppress(OSError):
            found.update(map(int, Path(listed).read_text().split()))
    return found


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A fresh deployment with default settings."""
    async with deployed(tmp_path / "home") as running:
        yield running


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A provider, which stops with the test."""
    running = Simulator()
    await running.start()
    yield running
    await running.stop()
