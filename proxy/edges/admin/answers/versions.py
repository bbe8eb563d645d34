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


class Expected(TypedDict):
    """Everything that would go wrong, `ok` where nothing is found; `notices` say what could not be looked at."""

    ok: bool
    findings: list[FindingDocument]
    notices: list[str]


class VersionChecked(Expected):
    """What is to be expected if the label served the version."""

    agent: AgentName
    version: VersionNumber
    label: LabelName


class DraftChecked(Expected):
    """What is to be expected if the label, or the agent's default label, served a version that is not made yet."""

    agent: AgentName
    version: None
    label: LabelName | None


class VersionsCompared(VersionDiffDocument):
    """What changed from version `before` to version `after`."""

    agent: AgentName
    before: VersionNumber
    after: VersionNumber


class ServedThen(ServedAtDocument):
    """What a label served at a moment; `eligible` are the tags without which a call got the stable arm."""

    eligible: dict[str, str]
