"""An endpoint, and a delivery to it: values, as they are kept in the file and shown."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict

import orjson

from proxy.core.shapes import Count, Moment
from proxy.core.times import rfc3339
from proxy.core.webhooks.events import EventDocument, WebhookEvent, slack_text
from proxy.core.webhooks.signing import secret_bytes, signature

Form = Literal["standard", "slack"]
DeliveryState = Literal["waiting", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Who is told. `host` is what of its URL may be shown."""

    name: str
    url: str = field(repr=False)
    host: str
    secret: str | None = field(repr=False)
    events: tuple[str, ...]
    form: Form
    allow_private: bool
    timeout_seconds: float

    def wants(self, event: WebhookEvent) -> bool:
        """Whether it is told of this."""
        return not event.subjects.isdisjoint(self.events)

    def body(self, event: WebhookEvent) -> bytes:
        """What is sent."""
        return orjson.dumps({"text": slack_text(event)} if self.form == "slack" else event.document())

    def headers(self, event: WebhookEvent, body: bytes, now_seconds: int) -> dict[str, str]:
        """What is sent before it."""
        told = {"content-type": "application/json", "webhook-id": event.id, "webhook-timestamp": str(now_seconds)}
        if self.secret is not None:
            told["webhook-signature"] = signature(secret_bytes(self.secret), event.id, now_seconds, body)
        return told


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint. `due_at_microseconds`: of its next try, UTC."""

    endpoint: str
    event: WebhookEvent
    state: DeliveryState = "waiting"
    tries: int = 0
    due_at_microseconds: int = 0
    problem: str | None = None

    @property
    def id(self) -> str:
        """Known by its event and its endpoint."""
        return f"{self.event.id}.{self.endpoint}"


class DeliveryDocument(TypedDict):
    """An event that an endpoint has not taken yet. `dead`: it is not tried any more, until somebody sends it again."""

    id: str
    endpoint: str
    state: DeliveryState
    event: EventDocument
    tries: Count
    next_try_at: Moment | None
    problem: str | None


class EndpointDocument(TypedDict):
    """Who is told of what. Of its URL only the host is shown, of its secret nothing."""

    name: str
    host: str
    form: Form
    events: list[str]
    signed: bool
    waiting: Count
    dead: Count
    delivered: Count
    last_delivered_at: Moment | None
    last_problem: str | None


def delivery_document(delivery: Delivery) -> DeliveryDocument:
    return {
        "id": delivery.id,
        "endpoint": delivery.endpoint,
        "state": delivery.state,
        "event": delivery.event.document(),
        "tries": delivery.tries,
        "next_try_at": rfc3339(delivery.due_at_microseconds) if delivery.state == "waiting" else None,
        "problem": delivery.problem,
    }


class PostFailed(Exception):
    """The endpoint did not take it; the first argument says why, in words that may be shown. `is_final`: it never will."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class Posting(Protocol):
    """Sends one request."""

    async def post(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> None:
        """Returns when the endpoint has taken it. Raises PostFailed."""
        ...
