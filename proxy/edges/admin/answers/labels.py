"""Answers: labels, rollback, protections and proposals."""

from typing import NotRequired, TypedDict

from proxy.core.releasing.proposals import ProposalDocument
from proxy.core.releasing.protection import ProtectionDocument
from proxy.core.shapes import AgentName, LabelName, ReleaseNumber, VersionNumber
from proxy.core.versions.diffing import VersionDiffDocument


class LabelStanding(TypedDict):
    """What a label serves now, and whether the request changed that; `reason` says why it did not."""

    changed: bool
    label: LabelName
    version: VersionNumber
    release: ReleaseNumber
    reason: str


class Noticed(TypedDict, total=False):
    """`warnings` say what a preflight could not look at."""

    warnings: list[str]


class LabelMoved(LabelStanding, Noticed):
    """A label after a move, which never leaves it in a rollout."""

    rollout: None


class RolledBack(LabelStanding):
    """A label after a rollback. `journalled` is there while the store is away: whether the change is on disk beside it."""

    undoes: ReleaseNumber | None
    journalled: NotRequired[bool]
    warning: NotRequired[str]


class LabelDeleted(TypedDict):
    """A label that is gone."""

    label: LabelName
    removed: bool


class ProtectionSet(ProtectionDocument):
    """The rules of a label; `warning` where the label is not set."""

    warning: NotRequired[str]


class ProtectionRemoved(TypedDict):
    """A label that anybody with the role may move again."""

    agent: AgentName
    label: LabelName
    removed: bool


class ProposalApproved(ProposalDocument, Noticed):
    """A proposal that was carried out."""


class ProposalShown(ProposalDocument, Noticed):
    """A proposal with the difference between what the label served and what is proposed."""

    diff: VersionDiffDocument
