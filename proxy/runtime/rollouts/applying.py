"""What a decision does: the commands that people order too, ordered by `rollout-controller` with the evidence they rest on.

Each compares before it sets: where somebody else was first, nothing moves and the next tick sees what is there.

Decision: an arm that is worse is taken out by itself, its users get stable again, and the others go on; the last one ends the rollout.
While the store is away the whole rollout is taken back, which the journal can keep: users are not left on a bad version for the sake
of the other arms' comparison.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from proxy.core.errors import Conflict, Unavailable
from proxy.core.releasing.proposals import Proposal
from proxy.core.rollouts.deciding import Action
from proxy.core.rollouts.progress import Phase
from proxy.core.snapshot import Rollout
from proxy.core.spending.caps import Cap
from proxy.runtime.releasing.release_commands import ReleaseCommands
from proxy.runtime.releasing.rollout_commands import RolloutCommands
from proxy.runtime.rollouts.judged import ArmDecision, JudgedRollout, evidence_reference
from proxy.runtime.state.live_snapshot import LiveSnapshot

#: Who it is in ledger and audit.
CONTROLLER: Final = "rollout-controller"
#: What moves somebody's traffic; every other decision leaves it as it is.
_ACTS: Final[frozenset[Action]] = frozenset({"roll_back", "advance", "promote"})
_Evidence = Sequence[Mapping[str, Any]]


class Applying:
    """Carries decisions out."""

    def __init__(self, live: LiveSnapshot, releases: ReleaseCommands, rollouts: RolloutCommands) -> None:
        self._live = live
        self._releases = releases
        self._rollouts = rollouts

    async def apply(self, judged: JudgedRollout, of: ArmDecision) -> Phase | None:
        """Do what was decided of an arm; the phase the rollout is in afterwards, where that is not the decision's own.

        Raises what the commands raise: Conflict (`rollout_ended`, `rollout_moved`) where somebody was first, Forbidden or
        Conflict where a label is protected, Unavailable while the store is away (a rollback works all the same).
        """
        if of.decision.action not in _ACTS:
            return None
        rollout, told = judged.rollout, of.told
        evidence = [evidence_reference(judged, of)]
        match of.decision.action:
            case "roll_back" if of.has_others:
                await self._take_out(rollout, of.arm, told, evidence)
            case "roll_back":
                await self._roll_back(rollout, told, evidence)
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

    async def _take_out(self, rollout: Rollout, arm: str, told: str, evidence: _Evidence) -> None:
        self._release_of(rollout)
        try:
            await self._releases.take_out(CONTROLLER, rollout, arm, told, cause="controller", evidence=evidence)
        except Unavailable as refusal:
            if refusal.code == "store_outcome_unknown":
                raise
            whole = f"{told}; without the store only the whole rollout can be taken back"
            await self._roll_back(rollout, whole, evidence)

    async def _roll_back(self, rollout: Rollout, told: str, evidence: _Evidence) -> None:
        await self._releases.rollback(
            CONTROLLER,
            rollout.agent,
            rollout.label,
            told,
            undoes=self._release_of(rollout),
            cause="controller",
            evidence=evidence,
        )

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
