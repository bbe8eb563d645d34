"""What is said beside a new switch or cap whose scope matches nothing that is known (core/releasing/unmatched.py)."""

from proxy.core.releasing.unmatched import unmatched
from proxy.core.scopes import Scope
from proxy.edges.admin.parts import AdminParts


def warnings_of(parts: AdminParts, scope: Scope) -> list[str]:
    """The member `warnings` of the answer; it is there also where there is nothing to say."""
    return unmatched(scope, parts.live.current, lambda model: parts.prices.knows(parts.providers, model))
