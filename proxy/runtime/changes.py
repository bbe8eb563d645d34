"""One command at a time: the store's atomic change, then the live snapshot, then the answer.

`begin` opens a Work; when its block ends the change is committed with its audit entry and the snapshot is swapped, in this
order and before the command returns, so that an acknowledged change is in force in this process. Everything the new
snapshot needs is read inside the change: after the commit nothing is awaited that could fail or take long, so that no
committed change is answered as failed, and a kill switch never waits for a store of a thousand agents to be read.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from proxy.core.audit import AuditDraft
from proxy.core.errors import BadInput
from proxy.core.identity import check_agent_known
from proxy.core.snapshot import Agent, AgentState, Snapshot
from proxy.runtime.clock import Clock
from proxy.runtime.live_snapshot import LiveSnapshot
from proxy.store.store import Change, Store

_MAX_WHY_CHARACTERS = 2000


class NothingChanged(Exception):
    """Ends a change that found nothing to do; the transaction is undone, nobody outside sees it."""


class Work:
    """What one command works with: the open change and its moment."""

    def __init__(self, change: Change, now_microseconds: int) -> None:
        self.change = change
        self.now = now_microseconds
        self.has_effect = True
        #: What the change does to the snapshot, beside its agent's own state.
        self.snapshot_edit: Callable[[Snapshot], Snapshot] = _unchanged

    async def agent(self, name: str) -> Agent:
        """The agent, in service. Raises NotFound(`agent_not_found`)."""
        agent = await self.change.agent(name)
        check_agent_known(agent is not None and not agent.archived, name)
        assert agent is not None
        return agent

    async def state(self, name: str) -> AgentState:
        """The agent with its labels and rollouts. Raises NotFound(`agent_not_found`)."""
        await self.agent(name)
        state = await self.change.agent_state(name)
        assert state is not None
        return state

    async def audit(
        self,
        who: str,
        what: str,
        subject: str,
        why: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Append the audit entry of this change. Raises BadInput(`bad_why`)."""
        if len(why) > _MAX_WHY_CHARACTERS:
            raise BadInput("bad_why", f"`why` is longer than {_MAX_WHY_CHARACTERS} characters", param="why")
        draft = AuditDraft(
            who=who,
            what=what,
            subject=subject,
            why=why,
            at_microseconds=self.now,
            before=before,
            after=after,
            evidence=evidence,
        )
        await self.change.append_audit(draft)

    def nothing_changed(self) -> None:
        """Say that this command found nothing to do: nothing is written."""
        self.has_effect = False


class Changes:
    """Serialises commands over the store and keeps the live snapshot in step."""

    def __init__(self, store: Store, live: LiveSnapshot, clock: Clock) -> None:
        self._store = store
        self._live = live
        self._clock = clock
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def begin(self, agent: str | None = None) -> AsyncGenerator[Work]:
        """A change about one agent, or (None) about switches and caps. Raises what the store raises."""
        async with self._turn:
            try:
                async with self._store.change() as change:
                    work = Work(change, self._clock.now_microseconds())
                    yield work
                    if not work.has_effect:
                        raise NothingChanged
                    # After the work's own writes, so that it sees them.
                    state = None if agent is None else await change.agent_state(agent)
                    revision = change.revision
            except NothingChanged:
                return
            if state is not None:
                self._live.replace_agent(state, revision)
            else:
                self._live.replace(replace(work.snapshot_edit(self._live.current), revision=revision))


def _unchanged(snapshot: Snapshot) -> Snapshot:
    return snapshot
