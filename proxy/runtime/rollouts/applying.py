"""What a decision does: the commands that people order too, ordered by `rollout-controller` with the evidence they rest on.

Each compares before it sets: where somebody else was first, nothing moves and the next tick sees what is there.
"""

from typing import Final

from proxy.core.errors import Conflict
from proxy.core.releasing.proposals import Proposal
from proxy.core.rollouts.deciding import Decision
from proxy.core.rollouts.progress import Phase
from proxy.core.snapshot import Rollout
from proxy.core.spending.caps import Cap
from proxy.runtime.releasing.release_commands import ReleaseCommands
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.rollouts.judged import JudgedRollout, evidence_reference
from proxy.runtime.state.live_snapshot import LiveSnapshot

#: Who it is in ledger and audit.
CONTROLLER: Final = "rollout-controller"


class Applying:
    """Carries decisions out."""

    def __init__(self, live: LiveSnapshot, releases: ReleaseCommands, rollouts: RolloutCommands) -> None:
        self._live = live
        self._releases = releases
        self._rollouts = rollouts

    async def apply(self, judged: JudgedRollout, decision: Decision, told: str) -> Phase | None:
        """Do what was decided; the phase the rollout is in afterwards, where that is not the decision's own.

        Raises what the commands raise: Conflict (`rollout_ended`, `rollout_moved`) where somebody was first, Forbidden or
        Conflict where a label is protected, Unavailable while the store is away (a rollback works all the same).
        """
        rollout = judged.rollout
        evidence = [evidence_reference(judged, decision, told)]
        match decision.action:
            case "roll_back":
                await self._releases.rollback(
                    CONTROLLER,
                    rollout.agent,
                    rollout.label,
                    told,
                    undoes=self._release_of(rollout),
                    cause="controller",
                    evidence=evidence,
                )
            case "advance":
                await self._rollouts.advance(CONTROLLER, rollout, judged.next_percentage, told, evidence=evidence)
            case "promote":
                promoted = await self._rollouts.promote(
                    CONTROLLER, rollout.agent, rollout.id, told, evidence=evidence, from_step=rollout.step
                )
                return "waiting" if isinstance(promoted, Proposal) else None
            case _:
                pass
        return None

    async def end_cap(self, cap: Cap) -> None:
        """No copies are made that would count in it any more. Raises Unavailable."""
        await self._rollouts.end_shadow_cap(CONTROLLER, cap.id)

    def _release_of(self, rollout: Rollout) -> int:
        """The release in force, which is the rollout's own as long as it is active: what people did after they had ended it is
        not the controller's to undo. Raises Conflict(`rollout_ended`)."""
        state = self._live.agent(rollout.agent)
        active = None if state is None else state.rollouts.get(rollout.label)
        if state is None or active is None or active.id != rollout.id:
            raise Conflict("rollout_ended", f"rollout {rollout.id} was ended by somebody else")
        return state.labels[rollout.label].release
