"""Versions of an agent, what changed between two of them, and which of them a label served at a moment."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from proxy.core.errors import BadInput, NotFound
from proxy.core.names import RESERVED_LABEL
from proxy.core.pages import MAX_PAGE, Page
from proxy.core.releasing.releases import Release
from proxy.core.releasing.serving import ServesDocument, serving
from proxy.core.releasing.timeline import ServedAt, doubt_at, served_at
from proxy.core.snapshot import AgentState
from proxy.core.times import parse_rfc3339, rfc3339
from proxy.core.versions.diffing import VersionDiffDocument, diff_versions
from proxy.core.versions.versions import Version, VersionSummary
from proxy.runtime.process.clock import Clock
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.store.ports.releases import ReleaseStore
from proxy.store.ports.versions import VersionStore

_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z")


class StoredVersions(VersionStore, ReleaseStore, Protocol):
    """Versions, and when labels served them."""


class VersionReader:
    """Versions, by the words people have for them: a number, `latest`, a label."""

    def __init__(self, live: LiveSnapshot, store: StoredVersions, clock: Clock) -> None:
        self._live = live
        self._store = store
        self._clock = clock

    async def page(self, state: AgentState, cursor: str | None, limit: int) -> Page[VersionSummary]:
        """The newest first. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.versions(state.agent.name, cursor, limit)

    def serving_now(self, state: AgentState) -> Mapping[int, Sequence[ServesDocument]]:
        """What each version of an agent serves, by number."""
        return serving(state, self._live.current.switches, self._clock.now_microseconds())

    async def numbered(self, state: AgentState, wanted: str) -> Version:
        """By number, or `latest`. Raises NotFound(`version_not_found`), Unavailable."""
        return await self._version(state, wanted, _number(state, wanted))

    async def called(self, state: AgentState, wanted: str) -> Version:
        """By number, label or `latest`. Raises NotFound(`version_not_found`), Unavailable."""
        label = state.labels.get(wanted)
        return await self._version(state, wanted, _number(state, wanted) if label is None else label.version)

    async def served(self, state: AgentState, label: str, time: str | None) -> ServedAt:
        """What a label served at a moment (RFC 3339; None: now), from the ledger. Raises BadInput(`bad_time`),
        NotFound(`label_not_set`), Unavailable."""
        name, now = state.agent.name, self._clock.now_microseconds()
        moment = now if time is None else parse_rfc3339(time, "time")
        if moment > now:
            raise BadInput(
                "bad_time", f"{rfc3339(moment)} is yet to come; what is served now is told without `time`", param="time"
            )
        history = await self._history(name, label, moment)
        served = served_at(history, moment, now)
        if served is None:
            doubt = doubt_at(history, moment, now)
            uncertain = "" if doubt is None else f"; this is uncertain: {doubt}"
            raise NotFound(
                "label_not_set", f"{name}: {label} served nothing at {rfc3339(moment)}{uncertain}", param="label"
            )
        return served

    async def _version(self, state: AgentState, wanted: str, number: int) -> Version:
        version = await self._store.version(state.agent.name, number) if number else None
        if version is None:
            there_is = f"the newest is {state.agent.newest}" if state.agent.newest else "it has none yet"
            problem = f"agent {state.agent.name!r} has no version {wanted}; {there_is}"
            raise NotFound("version_not_found", problem, param="version")
        return version

    async def _history(self, agent: str, label: str, since_microseconds: int) -> list[Release]:
        """A label's releases, oldest first, back to a page that is wholly of before that moment: a clock may have been set."""
        newest_first: list[Release] = []
        cursor: str | None = None
        while True:
            page = await self._store.releases(agent, label, cursor, MAX_PAGE)
            newest_first += page.items
            cursor = page.next_cursor
            if cursor is None or all(row.created_at_microseconds <= since_microseconds for row in page.items):
                return newest_first[::-1]


async def difference(before: Version | None, after: Version) -> VersionDiffDocument:
    """What changed from one version, or from nothing, to another."""
    # Long prompts take a while to compare; calls in flight do not wait for that.
    found = await asyncio.to_thread(diff_versions, before or {}, after)
    return found.document()


def _number(state: AgentState, text: str) -> int:
    """0 for what is no number."""
    if text == RESERVED_LABEL:
        return state.agent.newest
    return int(text) if _NUMBER.match(text) else 0
