"""Answers: versions, what differs between two, what a label served."""

from typing import TypedDict

from proxy.core.releasing.preflight import FindingDocument
from proxy.core.releasing.serving import ServesDocument
from proxy.core.releasing.timeline import ServedAtDocument
from proxy.core.shapes import AgentName, LabelName, VersionNumber
from proxy.core.versions.diffing import VersionDiffDocument
from proxy.core.versions.versions import VersionSummaryDocument


class VersionListed(VersionSummaryDocument):
    """A version without the content of its components, and what it serves now."""

    serves: list[ServesDocument]


class VersionChecked(TypedDict):
    """Everything that would go wrong if the label served the version; `ok` where nothing is found."""

    agent: AgentName
    version: VersionNumber
    label: LabelName
    ok: bool
    findings: list[FindingDocument]


class VersionsCompared(VersionDiffDocument):
    """What changed from version `before` to version `after`."""

    agent: AgentName
    before: VersionNumber
    after: VersionNumber


class ServedThen(ServedAtDocument):
    """What a label served at a moment; `eligible` are the tags without which a call got the stable arm."""

    eligible: dict[str, str]
