"""What is not delivered yet, and how far the audit log was read: in memory, and in a file after each change.

Decision: the audit log is the outbox. It is written with each change in one transaction and never changes, so that no change waits
for a second write, and none can be forgotten: what was taken out of it is a number in a file, beside the few deliveries that wait.
A table of deliveries would be written by every change for each endpoint, on a disk that changes wait for. A crash between a delivery and
the file sends an event twice, under the same id, as the standard asks receivers to expect.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from proxy.core.webhooks.events import WebhookEvent
from proxy.runtime.webhooks.endpoints import Delivery

#: So many wait for one endpoint; beyond that the oldest go.
MAX_WAITING: Final = 1000
MAX_DEAD: Final = 1000


class OutboxKeeper(Protocol):
    """Where it is kept. Its methods block."""

    def read(self) -> bytes | None:
        """What is kept; None where nothing is. Raises OSError."""
        ...

    def write(self, content: bytes) -> None:
        """Put this in its place, whole or not at all. Raises OSError."""
        ...


class _Kept(msgspec.Struct):
    format: int
    read_to: int | None
    deliveries: list[Delivery]


@dataclass(slots=True)
class Outbox:
    """The deliveries by id, oldest first. `read_to`: the last audit entry that was looked at; None: none was yet."""

    read_to: int | None = None
    deliveries: dict[str, Delivery] = field(default_factory=dict[str, Delivery])

    def add(self, event: WebhookEvent, endpoints: Iterable[str]) -> list[Delivery]:
        """Deliveries of an event; what had to go for them."""
        gone: list[Delivery] = []
        for name in endpoints:
            delivery = Delivery(name, event, due_at_microseconds=event.at_microseconds)
            if delivery.id not in self.deliveries:
                self.deliveries[delivery.id] = delivery
                gone += self._shed(name, "waiting", MAX_WAITING)
        return gone

    def bury(self, delivery: Delivery) -> list[Delivery]:
        """It is not tried any more; what had to go for it."""
        delivery.state = "dead"
        return self._shed(delivery.endpoint, "dead", MAX_DEAD)

    def of(self, endpoint: str) -> Sequence[Delivery]:
        """Those of one endpoint, oldest first."""
        return [delivery for delivery in self.deliveries.values() if delivery.endpoint == endpoint]

    def keep_only(self, endpoints: Iterable[str]) -> int:
        """Forget those of endpoints that are gone; how many."""
        names = set(endpoints)
        gone = [one for one in self.deliveries.values() if one.endpoint not in names]
        for delivery in gone:
            del self.deliveries[delivery.id]
        return len(gone)

    def _shed(self, endpoint: str, state: str, most: int) -> list[Delivery]:
        those = [delivery for delivery in self.of(endpoint) if delivery.state == state]
        gone = those[: max(0, len(those) - most)]
        for delivery in gone:
            del self.deliveries[delivery.id]
        return gone

    def encode(self) -> bytes:
        """As it is kept."""
        return msgspec.json.encode(_Kept(1, self.read_to, list(self.deliveries.values())))


def outbox_of(content: bytes | None) -> Outbox:
    """What was kept. Raises ValueError where it cannot be read."""
    if content is None:
        return Outbox()
    try:
        kept: Any = msgspec.json.decode(content, type=_Kept)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if kept.format != 1:
        raise ValueError(f"format {kept.format} is another release's")
    return Outbox(kept.read_to, {delivery.id: delivery for delivery in kept.deliveries})
