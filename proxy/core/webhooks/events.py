"""Events for webhooks: which changes are told, and what is said of them.

Every event but those of caps, and of rollouts that wait, is an audit entry: what a change was, who made it, why, and on what evidence, so that
nothing is told that the log does not say. An event's id follows from its entry: told twice it has the same one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict, cast, get_args

from proxy.core.proof.audit import AuditEntry
from proxy.core.shapes import JsonObject, Moment
from proxy.core.times import rfc3339

#: What endpoints choose from: the first part of an event's type.
Subject = Literal["rollout", "label", "proposal", "switch", "cap", "drill"]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)


class EventDocument(TypedDict):
    """What is sent: what happened, when, and the change itself."""

    type: str
    timestamp: Moment
    data: JsonObject


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Something that happened. `type` such as `label.moved`; `id` is what receivers know a second try by."""

    id: str
    type: str
    at_microseconds: int
    data: Mapping[str, Any]

    @property
    def subjects(self) -> frozenset[str]:
        """What endpoints choose by. A label that is rolled back out of a rollout is of both."""
        after = self.data.get("after")
        of_rollout = isinstance(after, Mapping) and cast("Mapping[str, Any]", after).get("rollout") is not None
        return frozenset({self.type.partition(".")[0]} | ({"rollout"} if of_rollout else set[str]()))

    def document(self) -> EventDocument:
        return {"type": self.type, "timestamp": rfc3339(self.at_microseconds), "data": dict(self.data)}


def event_of(entry: AuditEntry) -> WebhookEvent | None:
    """The event that an audit entry is; None where nobody is told of it."""
    if entry.what.partition(".")[0] not in SUBJECTS or _is_step_of_drill(entry):
        return None
    data = {
        "entry": entry.number,
        "who": entry.who,
        "subject": entry.subject,
        "why": entry.why,
        "before": entry.before,
        "after": entry.after,
        "evidence": list(entry.evidence),
        "sentence": _sentence(entry.evidence),
    }
    return WebhookEvent(f"msg_{entry.hash[:32]}", entry.what, entry.at_microseconds, data)


def _is_step_of_drill(entry: AuditEntry) -> bool:
    """Whether it is what a drill did on its way: nobody is to be alarmed by a rehearsal."""
    return entry.what != "drill.finished" and any(item.get("kind") == "drill" for item in entry.evidence)


def _sentence(evidence: Sequence[Mapping[str, Any]]) -> str | None:
    """What the controller said of a rollout, in the words that people read."""
    told = [item.get("sentence") for item in evidence if item.get("kind") == "rollout"]
    return next((sentence for sentence in told if isinstance(sentence, str)), None)


def slack_text(event: WebhookEvent) -> str:
    """One event as a message for a channel: `&`, `<` and `>` stand for themselves (Slack's escaping), and no one is called."""
    data = event.data
    parts = [event.type, f"{data.get('subject', '')} by {data['who']}" if data.get("who") else data.get("subject", "")]
    told = data.get("sentence") or data.get("why")
    text = " · ".join(str(part) for part in parts if part) + (f"\n{told}" if told else "")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
