"""A version: an immutable numbered bundle of the five components of one agent, with who, when and why.

The bundle (what is injected) lives in components.py; this file holds the identity around it. Nothing here changes after
creation, and the store's schema refuses to change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, cast

from proxy.core.shapes import AgentName, Hash, JsonObject, Moment, VersionNumber, Who
from proxy.core.times import rfc3339
from proxy.core.versions.components import COMPONENT_KINDS, Bundle, ComponentKind, ToolsMode
from proxy.core.versions.prompt_content import PromptMode, PromptRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of one agent. `created_at_microseconds` is UTC since 1970; `parent` is the newest the author saw."""

    agent: str
    number: int
    bundle: Bundle
    parent: int | None
    author: str
    message: str
    created_at_microseconds: int
    tested_against: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: Where it came from, when not from a person: {"git": {"commit": ..., "path": ...}} or {"import": ...}.
    source: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def bundle_hash(self) -> str:
        return self.bundle.bundle_hash

    @property
    def hashes(self) -> Mapping[ComponentKind, str]:
        return self.bundle.hashes

    @property
    def stamp(self) -> str:
        """`support-triage@7`, as answered in the Switchback-Version header."""
        return f"{self.agent}@{self.number}"

    def contents(self) -> dict[str, Any]:
        """The five components in their normal form, by kind."""
        return {kind: self.bundle.content(kind) for kind in COMPONENT_KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A version without the content of its components, which can be megabytes: what lists carry."""

    agent: str
    number: int
    bundle_hash: str
    hashes: Mapping[ComponentKind, str]
    parent: int | None
    author: str
    message: str
    created_at_microseconds: int
    tested_against: Mapping[str, Any]
    source: Mapping[str, Any]


class VersionSummaryDocument(TypedDict):
    """A version without the content of its components."""

    agent: AgentName
    version: VersionNumber
    version_id: Hash
    parent: VersionNumber | None
    author: Who
    message: str
    created_at: Moment
    hashes: dict[ComponentKind, Hash]
    tested_against: JsonObject
    source: JsonObject


class PromptMessageDocument(TypedDict):
    """One message of a prompt. Those of `system` and `developer` stand before all others."""

    role: PromptRole
    text: str


class PromptDocument(TypedDict):
    """The system prompt, how it meets the caller's own, and its variables: `{}`, or `{"default": TEXT}`. A prompt of several messages
    has `messages` in the place of `text`."""

    text: NotRequired[str]
    messages: NotRequired[list[PromptMessageDocument]]
    mode: PromptMode
    variables: dict[str, dict[str, str]]


class ModelDocument(TypedDict):
    """Which model answers where; a parameter is its value, or `{"default": VALUE}` where the caller's wins."""

    provider: str | None
    name: str | None
    parameters: JsonObject


class ToolsDocument(TypedDict):
    """Tool definitions, and how they meet the caller's."""

    mode: ToolsMode
    items: list[JsonObject]


class VersionDocument(VersionSummaryDocument):
    """A version with its five components in their normal form."""

    prompt: PromptDocument
    model: ModelDocument
    tools: ToolsDocument
    retrieval: JsonObject
    policy: JsonObject


def version_document(version: Version) -> VersionDocument:
    return cast("VersionDocument", {**version_summary(version), **version.contents()})


def version_summary(version: Version | VersionSummary) -> VersionSummaryDocument:
    """A version without the content of its components: what lists and the audit log carry."""
    return {
        "agent": version.agent,
        "version": version.number,
        "version_id": version.bundle_hash,
        "parent": version.parent,
        "author": version.author,
        "message": version.message,
        "created_at": rfc3339(version.created_at_microseconds),
        "hashes": dict(version.hashes),
        "tested_against": dict(version.tested_against),
        "source": dict(version.source),
    }
