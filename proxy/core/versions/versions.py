"""A version: an immutable numbered bundle of the five components of one agent, with who, when and why.

The bundle (what is injected) lives in components.py; this file holds the identity around it. Nothing here changes after
creation, and the store's schema refuses to change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.core.times import rfc3339
from proxy.core.versions.components import COMPONENT_KINDS, Bundle, ComponentKind


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


def version_document(version: Version) -> dict[str, Any]:
    return {**version_summary(version), **version.contents()}


def version_summary(version: Version | VersionSummary) -> dict[str, Any]:
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
