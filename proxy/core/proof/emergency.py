"""Emergency orders: what may be ordered while the store is away, and the journal entries they leave until it is back.

An order is complete in itself, so that the journal can repeat it: the same command carries it out over the store later, by
the same rules, with its original time and author. Carrying out is runtime's; how entries are written is store/files/journal_file.py's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from proxy.core.proof.audit import change_evidence
from proxy.core.releasing.releases import Release
from proxy.core.switches import Switch
from proxy.core.times import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOrder:
    """Take a label back. `label` None is the agent's default label, `undoes` None the release in force."""

    who: str
    agent: str
    label: str | None
    why: str
    undoes: int | None = None
    to: int | None = None
    #: What it rests on, where it was decided by evidence.
    evidence: tuple[Mapping[str, Any], ...] = ()

    what: Literal["rollback"] = "rollback"

    @property
    def subject(self) -> str:
        return f"agents/{self.agent}/labels/{self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortOrder:
    """End a rollout; its stable version serves everyone."""

    who: str
    agent: str
    rollout: str
    why: str

    what: Literal["abort"] = "abort"

    @property
    def subject(self) -> str:
        return f"agents/{self.agent}/rollouts/{self.rollout}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchOrder:
    """Put a switch on; who and why are the switch's own."""

    switch: Switch
    #: What was known of the version it falls back to, where it was forced.
    evidence: tuple[Mapping[str, Any], ...] = ()

    what: Literal["switch"] = "switch"

    @property
    def who(self) -> str:
        return self.switch.created_by

    @property
    def agent(self) -> str | None:
        """A switch is no change of an agent, even where its scope names one."""
        return None

    @property
    def why(self) -> str:
        return self.switch.why

    @property
    def subject(self) -> str:
        return f"switches/{self.switch.id}"


EmergencyOrder = RollbackOrder | AbortOrder | SwitchOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One order that took effect without the store. `release` is the ledger row it made, with the number it then had;
    `change_id` that of the request, where it had one."""

    id: str
    at_microseconds: int
    order: EmergencyOrder
    release: Release | None = None
    change_id: str | None = None

    def evidence(self) -> dict[str, Any]:
        """What ledger and audit say of an action that came to them from the journal."""
        return {"kind": "journal", "id": self.id}

    def evidence_again(self) -> list[dict[str, Any]]:
        """The same where nothing else tells of the request any more."""
        return [self.evidence(), *([] if self.change_id is None else [change_evidence(self.change_id)])]

    def document(self) -> dict[str, Any]:
        """For the audit entry of an action that could not be taken over: what had been in force."""
        release = self.release
        served = (
            {} if release is None else {"label": release.label, "version": release.version, "undoes": release.undoes}
        )
        return {"id": self.id, "order": self.order.what, "at": rfc3339(self.at_microseconds), **served}


def explicit(order: EmergencyOrder, release: Release | None) -> EmergencyOrder:
    """The order with everything that was left to the rule, as the rule decided it: repeated, it does this or nothing."""
    if isinstance(order, RollbackOrder) and release is not None:
        return replace(order, label=release.label, undoes=release.undoes, to=release.version)
    return order


def is_journalled(evidence: Mapping[str, Any]) -> bool:
    """True for what JournalEntry.evidence makes."""
    return evidence.get("kind") == "journal"
