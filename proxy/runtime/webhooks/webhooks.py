"""Delivers events: reads the audit log as it grows, tries each endpoint by itself, gives up in the end, and says so.

Only the process that owns the store does it, so that of several workers one sends. No change and no call waits for any of it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from proxy.core.errors import NotFound, Refusal
from proxy.core.pages import DEFAULT_PAGE, Page
from proxy.core.proof.audit import AuditEntry
from proxy.core.spending.caps import Cap, CounterKey, cap_document
from proxy.core.times import rfc3339
from proxy.core.webhooks.events import WebhookEvent, event_of
from proxy.core.webhooks.signing import pause_seconds
from proxy.runtime.process.clock import Clock, Identifiers
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.webhooks.endpoints import Delivery, Endpoint, EndpointDocument, PostFailed, Posting
from proxy.runtime.webhooks.outbox import Outbox, OutboxKeeper, outbox_of

_LOOK_SECONDS: Final = 1.0
_PAGE: Final = 200
#: Told by the proxy itself, not by the audit log; so many wait to be taken in.
_TOLD_LIMIT: Final = 1000
#: So many windows of caps are remembered as warned of.
_WARNED_LIMIT: Final = 10_000


class AuditSource(Protocol):
    """The part of the store that events come from."""

    async def audit(self, cursor: str | None = None, limit: int = DEFAULT_PAGE) -> Page[AuditEntry]: ...
    async def audit_after(self, number: int, limit: int = DEFAULT_PAGE) -> Sequence[AuditEntry]: ...


class Webhooks:
    """The deliveries of this deployment."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        source: AuditSource,
        file: OutboxKeeper,
        posting: Posting,
        metrics: Metrics,
        clock: Clock,
        identifiers: Identifiers,
        tell: Callable[..., None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """`tell` writes a line into the log: its event, then members."""
        self.endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._source = source
        self._file = file
        self._posting = posting
        self._metrics = metrics
        self._clock = clock
        self._identifiers = identifiers
        self._tell = tell
        self._on_error = on_error
        self.outbox = Outbox()
        self._told: deque[WebhookEvent] = deque(maxlen=_TOLD_LIMIT)
        #: Of which windows of caps, and of which rollouts, a warning was told, the oldest first.
        self._warned: dict[tuple[str | int, ...], None] = {}
        self._is_open = False
        self._is_unsaved = False
        self._writing: asyncio.Future[None] | None = None
        self._saving = asyncio.Lock()
        self._file_problem: str | None = None
        self._delivered: dict[str, tuple[int, int]] = {}
        self._problems: dict[str, str | None] = {}

    def happened(self, kind: str, subject: str, sentence: str, **data: Any) -> None:
        """Something that the audit log does not tell of; never waits, never raises."""
        if not self.endpoints:
            return
        now = self._clock.now_microseconds()
        content = {"subject": subject, "sentence": sentence, **data}
        self._told.append(WebhookEvent(self._identifiers.new("msg"), kind, now, content))

    def cap_warned(self, cap: Cap, counter: CounterKey) -> None:
        """A call went past a soft cap: counted, and told once of each window, also where that comes again, and of each rollout where
        a rollout is the window. Called on the way of calls."""
        self._metrics.warned(cap)
        if not self.endpoints:
            return
        rollout = counter.part.split("/", 2)[:2] if cap.window == "rollout" else ()
        window = cap.id, counter.window_start_microseconds, *rollout
        if window in self._warned:
            return
        self._warned[window] = None
        if len(self._warned) > _WARNED_LIMIT:
            del self._warned[next(iter(self._warned))]
        self.happened("cap.warned", f"caps/{cap.id}", "calls go past this cap, which only warns", cap=cap_document(cap))

    async def run(self) -> None:
        """Deliver until cancelled."""
        await self._open()
        if not self.endpoints:
            # Who is told again some day is told of what happens from then on.
            self.outbox.read_to, self._is_unsaved = None, self.outbox.read_to is not None
            await self._save()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self._take_in))
            for endpoint in self.endpoints.values():
                # One that does not answer keeps no other waiting.
                group.create_task(self._again(partial(self._serve, endpoint)))

    async def close(self) -> None:
        """To be called once nothing is delivered any more: keep what is not, also what nobody had taken in yet."""
        if not self._is_open:
            return
        if self._writing is not None:
            # One that was interrupted goes on, and two would be in each other's way.
            with suppress(OSError):
                await asyncio.shield(self._writing)
        while self._told:
            self._add(self._told.popleft())
        await self._save()

    async def _again(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take the step, keep what it changed, and again, until cancelled."""
        while True:
            try:
                await step()
                await self._save()
            except Exception as error:
                # Nobody would be told of anything any more.
                self._on_error(error)
            await asyncio.sleep(_LOOK_SECONDS)

    def resend(self, delivery_id: str) -> Delivery:
        """Try a delivery again now, from the first try on. Raises NotFound(`delivery_not_found`)."""
        delivery = self.outbox.deliveries.get(delivery_id)
        if delivery is None:
            raise NotFound("delivery_not_found", f"no delivery {delivery_id!r} waits or is dead", param="id")
        delivery.state, delivery.tries = "waiting", 0
        delivery.due_at_microseconds = self._clock.now_microseconds()
        self._is_unsaved = True
        return delivery

    def document(self, endpoint: Endpoint) -> EndpointDocument:
        """How an endpoint stands."""
        states = [delivery.state for delivery in self.outbox.of(endpoint.name)]
        count, at = self._delivered.get(endpoint.name, (0, 0))
        return {
            "name": endpoint.name,
            "host": endpoint.host,
            "form": endpoint.form,
            "events": list(endpoint.events),
            "signed": endpoint.secret is not None,
            "waiting": states.count("waiting"),
            "dead": states.count("dead"),
            "delivered": count,
            "last_delivered_at": rfc3339(at) if count else None,
            "last_problem": self._problems.get(endpoint.name),
        }

    async def _open(self) -> None:
        try:
            self.outbox = outbox_of(await asyncio.to_thread(self._file.read))
        except (OSError, ValueError) as error:
            # What it held is not known; what is in the audit log is, and nobody is told of old things anew.
            self._tell("webhooks_forgotten", reason=f"what waited cannot be read: {type(error).__name__}")
        if gone := self.outbox.keep_only(self.endpoints):
            self._tell("webhooks_forgotten", reason="their endpoints are not in the settings any more", count=gone)
            self._is_unsaved = True
        self._is_open = True

    async def _take_in(self) -> None:
        """New events become deliveries."""
        while self._told:
            self._add(self._told.popleft())
        try:
            newest = (await self._source.audit(None, 1)).items
            head, outbox = newest[0].number if newest else 0, self.outbox
            if outbox.read_to is None or outbox.read_to > head:
                # The first start, or an older database in the place of the one that was read.
                outbox.read_to, self._is_unsaved = head, True
            while outbox.read_to < head and (entries := await self._source.audit_after(outbox.read_to, _PAGE)):
                for entry in entries:
                    event = event_of(entry)
                    if event is not None:
                        self._add(event)
                    outbox.read_to = entry.number
                self._is_unsaved = True
        except Refusal:
            return  # the store is away: the log waits

    def _add(self, event: WebhookEvent) -> None:
        wanted = [endpoint.name for endpoint in self.endpoints.values() if endpoint.wants(event)]
        for lost in self.outbox.add(event, wanted):
            self._count(lost, "dropped", "too many wait for the endpoint")
        self._is_unsaved = True

    async def _serve(self, endpoint: Endpoint) -> None:
        """Try what is due, oldest first; after one that fails the others wait for the next round."""
        now = self._clock.now_microseconds()
        for delivery in self.outbox.of(endpoint.name):
            if (
                delivery.state == "waiting"
                and delivery.due_at_microseconds <= now
                and not await self._try(endpoint, delivery)
            ):
                return

    async def _try(self, endpoint: Endpoint, delivery: Delivery) -> bool:
        body = endpoint.body(delivery.event)
        now = self._clock.now_microseconds()
        self._is_unsaved = True
        try:
            await self._posting.post(endpoint, endpoint.headers(delivery.event, body, now // 1_000_000), body)
        except PostFailed as failure:
            self._failed(delivery, str(failure), is_final=failure.is_final)
            return False
        self.outbox.deliveries.pop(delivery.id, None)
        count, _ = self._delivered.get(endpoint.name, (0, 0))
        self._delivered[endpoint.name] = count + 1, self._clock.now_microseconds()
        self._problems[endpoint.name] = None
        self._metrics.webhook(endpoint.name, "delivered")
        return True

    def _failed(self, delivery: Delivery, problem: str, *, is_final: bool) -> None:
        # Not before: who sent it again meanwhile means the first try.
        delivery.tries += 1
        delivery.problem = self._problems[delivery.endpoint] = problem
        pause = None if is_final else pause_seconds(delivery.tries)
        if pause is not None:
            delivery.due_at_microseconds = self._clock.now_microseconds() + pause * 1_000_000
            self._metrics.webhook(delivery.endpoint, "failed")
            return
        for lost in self.outbox.bury(delivery):
            self._count(lost, "dropped", "too many dead letters of the endpoint")
        self._count(delivery, "dead", problem)

    def _count(self, delivery: Delivery, result: str, reason: str) -> None:
        self._metrics.webhook(delivery.endpoint, result)
        self._tell(
            f"webhook_{result}", endpoint=delivery.endpoint, type=delivery.event.type, id=delivery.id, reason=reason
        )

    async def _save(self) -> None:
        async with self._saving:
            await self._write()

    async def _write(self) -> None:
        if not self._is_unsaved:
            return
        self._is_unsaved = False
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._file.write, self.outbox.encode()))
        try:
            await asyncio.shield(self._writing)
        except asyncio.CancelledError:
            # Nobody hears whether it was kept.
            self._is_unsaved = True
            raise
        except OSError as error:
            self._is_unsaved = True
            problem = error.strerror or type(error).__name__
            if problem != self._file_problem:
                self._tell("webhooks_not_kept", reason=problem)
            self._file_problem = problem
        else:
            self._file_problem = None
