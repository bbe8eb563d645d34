"""What is told from where to where: over restarts, over endpoints that go and come back, and once of each window of a cap."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proxy import __version__
from proxy.core.scopes import Scope
from proxy.core.spending.caps import Cap, CounterKey
from proxy.runtime.process.clock import Identifiers
from proxy.runtime.releasing.limit_commands import SwitchDraft
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.webhooks.endpoints import Endpoint, PostFailed
from proxy.runtime.webhooks.webhooks import Webhooks
from proxy.store.files.outbox_file import OutboxFile
from tests.edges.admin.composition import NOON, Commands, SetClock, commands
from tests.harness import eventually

OPS = Endpoint(
    name="ops",
    url="https://ops.example/hook",
    host="ops.example",
    secret=None,
    events=("label", "switch", "cap"),
    form="standard",
    allow_private=False,
    timeout_seconds=5,
)
SOFT = Cap(
    id="c1",
    scope=Scope(),
    window="day",
    unit="usd",
    limit_amount=5,
    at_limit="warn",
    why="",
    created_by="ana",
    created_at_microseconds=NOON,
)


class Mailbox:
    """Takes what is sent, or nothing."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.is_up = True

    async def post(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> None:
        if not self.is_up:
            raise PostFailed("away")
        self.taken.append(headers["webhook-id"])


class SlowFile(OutboxFile):
    """A disk that takes its time: a write ends when it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.began, self.let_go = threading.Event(), threading.Event()

    def write(self, content: bytes) -> None:
        self.began.set()
        self.let_go.wait(30)
        super().write(content)


def webhooks(
    made: Commands,
    receiver: Mailbox,
    file: OutboxFile,
    *endpoints: Endpoint,
    errors: list[BaseException] | None = None,
) -> Webhooks:
    clock = SetClock()
    return Webhooks(
        endpoints,
        made.store,
        file,
        receiver,
        Metrics(__version__),
        clock,
        Identifiers(clock, 7),
        lambda event, **members: None,
        unexpected,
    )


def unexpected(error: BaseException) -> None:
    raise error


async def lived(these: Webhooks, until: Any = None) -> None:
    """From a start to a stop, as the server does it."""
    running = asyncio.create_task(these.run())
    await eventually(until or (lambda: these.outbox.read_to is not None))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await these.close()


async def test_an_endpoint_that_goes_and_comes_back_is_told_nothing_of_the_time_between(tmp_path: Path) -> None:
    receiver, file = Mailbox(), OutboxFile(tmp_path / "webhooks.json")
    async with commands(tmp_path) as made:
        await lived(webhooks(made, receiver, file, OPS))
        await webhooks(made, receiver, file).run()
        await made.limits.switch_on("ana", SwitchDraft(scope={"provider": "openai"}, mode="block"), "a try")
        await lived(webhooks(made, receiver, file, OPS))
        assert receiver.taken == []
        again = webhooks(made, receiver, file, OPS)
        await made.limits.switch_on("ana", SwitchDraft(scope={"provider": "openai"}, mode="block"), "another")
        await lived(again, lambda: len(receiver.taken) == 1)


async def test_what_happened_just_before_the_stop_is_told_after_the_next_start(tmp_path: Path) -> None:
    receiver, file = Mailbox(), OutboxFile(tmp_path / "webhooks.json")
    async with commands(tmp_path) as made:
        receiver.is_up = False
        first = webhooks(made, receiver, file, OPS)
        await lived(first)
        first.happened("cap.warned", "caps/c1", "it went past")
        await first.close()
        receiver.is_up = True
        await lived(webhooks(made, receiver, file, OPS), lambda: len(receiver.taken) == 1)


async def test_a_write_that_the_stop_interrupts_is_waited_for_and_the_newest_is_kept(tmp_path: Path) -> None:
    receiver, file = Mailbox(), SlowFile(tmp_path / "webhooks.json")
    async with commands(tmp_path) as made:
        these = webhooks(made, receiver, file, OPS)
        running = asyncio.create_task(these.run())
        await eventually(file.began.is_set)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        these.happened("cap.warned", "caps/c1", "it went past")
        closing = asyncio.create_task(these.close())
        file.let_go.set()
        await closing
        await lived(webhooks(made, receiver, file, OPS), lambda: len(receiver.taken) == 1)


async def test_one_that_never_began_leaves_what_is_kept_as_it_is(tmp_path: Path) -> None:
    receiver, file = Mailbox(), OutboxFile(tmp_path / "webhooks.json")
    async with commands(tmp_path) as made:
        await lived(webhooks(made, receiver, file, OPS))
        kept = file.read()
        never = webhooks(made, receiver, file, OPS)
        never.happened("cap.warned", "caps/c1", "it went past")
        await never.close()
        assert file.read() == kept


@pytest.mark.parametrize(
    ("window", "counters", "told"),
    [
        ("day", [(NOON, ""), (NOON, "ann"), (NOON + 1, ""), (NOON, "")], 2),
        ("rollout", [(0, "a/r1/"), (0, "a/r1/u/v"), (0, "a/r2/"), (0, "b/r1/"), (0, "a/r1/")], 3),
    ],
)
async def test_a_cap_warns_once_of_each_window_that_counted_also_where_it_comes_again(
    tmp_path: Path, window: Any, counters: list[tuple[int, str]], told: int
) -> None:
    async with commands(tmp_path) as made:
        receiver = Mailbox()
        these = webhooks(made, receiver, OutboxFile(tmp_path / "webhooks.json"), OPS)
        cap = Cap(**{name: getattr(SOFT, name) for name in SOFT.__dataclass_fields__} | {"window": window})
        for start, part in counters:
            these.cap_warned(cap, CounterKey(cap.id, start, part))
        await lived(these, lambda: len(receiver.taken) == told)
        assert these.outbox.deliveries == {}
