"""What a switch or a cap names that nothing known goes by: most likely a typing error, and then it would stop and limit nothing.

Pure. Agents, their versions and labels, and providers are closed sets: whoever orders is refused where they do not exist. Models, tools
and rollouts are open ones: callers may ask for a model that no version and no price list names, bring tools of their own, and
a rollout may still begin. So those are said, not refused.

Decision: what calls asked for in the past is not looked up. It is the store's to know, and an emergency does not wait for it.
"""

from collections.abc import Callable, Iterable

from proxy.core.model_names import means_model
from proxy.core.nearest import did_you_mean
from proxy.core.scopes import Scope, is_offered
from proxy.core.snapshot import AgentState, Snapshot
from proxy.core.versions.components import Bundle
from proxy.core.versions.tool_labels import labels_of_version


def unmatched(scope: Scope, snapshot: Snapshot, is_priced: Callable[[str], bool]) -> list[str]:
    """A sentence for each dimension of the scope that matches nothing known; `is_priced`: whether a price list knows a model, in any
    of the spellings a scope may have."""
    said = [_model(scope.model, snapshot, is_priced), _tool(scope, snapshot), _rollout(scope, snapshot)]
    return [sentence for sentence in said if sentence]


def _model(named: str | None, snapshot: Snapshot, is_priced: Callable[[str], bool]) -> str:
    if named is None:
        return ""
    served = [bundle.model for bundle in _bundles(snapshot.agents.values()) if bundle.model.name]
    if any(means_model(named, model.provider or "", model.name or "") for model in served) or is_priced(named):
        return ""
    near = _near(named, [model.name or "" for model in served])
    return (
        f"no version and no price list names the model {named!r}{near}; it matches only calls that ask for exactly that"
    )


def _tool(scope: Scope, snapshot: Snapshot) -> str:
    if scope.tool is None:
        return ""
    states = [state for name, state in snapshot.agents.items() if scope.agent in (None, name)]
    offered = {label for bundle in _bundles(states) for label in labels_of_version(bundle)}
    if is_offered(scope.tool, offered):
        return ""
    near = _near(scope.tool, offered)
    return (
        f"no version in service offers a tool {scope.tool!r}{near}; it matches only calls that bring one of that name"
    )


def _rollout(scope: Scope, snapshot: Snapshot) -> str:
    if scope.rollout is None and scope.arm is None:
        return ""
    state = snapshot.agents.get(scope.agent or "")
    running = [] if state is None else [rollout for rollout in state.rollouts.values() if rollout.is_active]
    meant = [rollout for rollout in running if scope.rollout in (None, rollout.id)]
    if not meant:
        which = "rollout" if scope.rollout is None else f"rollout {scope.rollout!r}"
        return f"no {which} of agent {scope.agent!r} runs; it matches nothing until one does"
    arms = {arm.name for rollout in meant for arm in rollout.arms}
    if scope.arm is None or scope.arm in arms:
        return ""
    return f"no running rollout of agent {scope.agent!r} has an arm {scope.arm!r}; there are {', '.join(sorted(arms))}"


def _bundles(states: Iterable[AgentState]) -> Iterable[Bundle]:
    return (version.bundle for state in states for version in state.versions.values())


def _near(named: str, known: Iterable[str]) -> str:
    question = did_you_mean(named, known)
    return "" if question is None else f" ({question})"
