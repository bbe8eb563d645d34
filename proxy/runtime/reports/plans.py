"""Plans that rollouts can be started with by name."""

from proxy.core.errors import NotFound
from proxy.core.pages import Page
from proxy.core.rollouts.named_plans import NamedPlan
from proxy.store.ports.rollouts import PlanStore


class PlanReader:
    """Named plans as they are now."""

    def __init__(self, store: PlanStore) -> None:
        self._store = store

    async def page(self, cursor: str | None, limit: int) -> Page[NamedPlan]:
        """By name. Raises BadInput(`bad_cursor`), Unavailable."""
        return await self._store.plans(cursor, limit)

    async def plan(self, name: str) -> NamedPlan:
        """Raises NotFound(`plan_not_found`), Unavailable."""
        found = await self._store.plan(name)
        if found is None:
            raise NotFound(
                "plan_not_found",
                f"there is no plan {name!r}; `switchback plans list` shows which there are",
                param="plan",
            )
        return found
