"""What a store says traffic is decided on."""

from typing import Protocol

from proxy.core.snapshot import AgentState, Snapshot


class SnapshotStore(Protocol):
    """Read whole at a start; what a change makes of it that change says itself (ports/changes.py)."""

    async def load_snapshot(self) -> Snapshot: ...
    async def agent_state(self, name: str) -> AgentState | None:
        """One agent as the snapshot has it, also an archived one."""
        ...
