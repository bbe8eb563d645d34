"""Emergency orders repeated: what the journal holds is carried out again by the commands that carried it out first."""

from typing import assert_never

from proxy.core.proof.emergency import AbortOrder, EmergencyOrder, RollbackOrder, SwitchOrder
from proxy.runtime.releasing.limit_commands import switch_on_now
from proxy.runtime.releasing.release_commands import roll_back_now
from proxy.runtime.releasing.rollout_commands import abort_now
from proxy.runtime.state.work import EmergencyWork


async def carry_out(work: EmergencyWork, order: EmergencyOrder) -> str | None:
    """Carry an order out within an open change; why there was nothing to do, None where it was done. Raises what the order's
    own command raises."""
    match order:
        case RollbackOrder():
            moved = await roll_back_now(work, order)
            return None if moved.changed else moved.reason
        case AbortOrder():
            await abort_now(work, order)
        case SwitchOrder():
            await switch_on_now(work, order)
        case _:
            assert_never(order)
    return None
