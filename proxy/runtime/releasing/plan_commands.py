"""What operators order about plans that have names. Rollouts that run keep the plan they were started with."""

from collections.abc import Mapping
from typing import Any

from proxy.core.errors import NotFound
from proxy.core.names import check_plan_name
from proxy.core.rollouts.named_plans import NamedPlan, frozen_plan, named_plan_document
from proxy.core.rollouts.reading import read_new_plan
from proxy.runtime.state.changes import Changes


class PlanCommands:
    """Named plans."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def set_plan(
        self, who: str, name: str, plan: Mapping[str, Any], why: str, *, source: Mapping[str, Any] | None = None
    ) -> NamedPlan:
        """Put a plan under a name, in the place of the one there, if any; an equal one is no change. Raises BadInput (`bad_name`,
        `bad_plan`)."""
        check_plan_name(name)
        frozen = frozen_plan(read_new_plan({**plan, "name": name}))
        async with self._changes.begin() as work:
            before = await work.change.plan(name)
            if before is not None and before.plan == frozen:
                work.nothing_changed()
                return before
            named = NamedPlan(
                name=name,
                plan=frozen,
                source=source or {},
                why=why,
                updated_by=who,
                updated_at_microseconds=work.now,
            )
            await work.change.set_plan(named)
            earlier = None if before is None else named_plan_document(before)
            await work.audit(who, "plan.set", f"plans/{name}", why, earlier, named_plan_document(named))
        return named

    async def delete_plan(self, who: str, name: str, why: str) -> NamedPlan:
        """The plan that is gone. Raises NotFound(`plan_not_found`)."""
        async with self._changes.begin() as work:
            named = await work.change.plan(name)
            if named is None:
                raise NotFound("plan_not_found", f"there is no plan {name!r}", param="plan")
            await work.change.delete_plan(name)
            await work.audit(who, "plan.deleted", f"plans/{name}", why, named_plan_document(named))
        return named
