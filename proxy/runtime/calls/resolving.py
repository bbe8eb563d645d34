"""The resolve step: which version a call gets (core decides), which arm its conversation began on, and the lane it goes in."""

from proxy.core.calls.caller import Caller
from proxy.core.calls.resolution import Resolution
from proxy.core.calls.resolving import resolve
from proxy.core.snapshot import AgentState
from proxy.core.versions.versions import Version
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.lanes import Lanes, Passed
from proxy.runtime.calls.stages import Asked, Resolved
from proxy.runtime.state.live_snapshot import LiveSnapshot


async def pinned_version(caller: Caller, live: LiveSnapshot) -> Version | None:
    """The version a caller pinned, which is all of resolving that may have to be waited for; None: there is none. Raises
    Unavailable."""
    state = None if caller.agent is None else live.agent(caller.agent)
    return None if state is None or caller.pin is None else await live.version(state, caller.pin)


def version_in_force(
    caller: Caller, state: AgentState, pinned: Version | None, conversations: Conversations, now_microseconds: int
) -> Resolution:
    """The version of a call that one is in force on; a conversation stays on the arm it began on. Raises NotFound as
    core's `resolve`."""
    if caller.conversation is None:
        return resolve(state, caller, pinned=pinned)
    began_on = _conversation_arm(caller, caller.conversation, state, conversations, now_microseconds)
    resolution = resolve(state, caller, pinned=pinned, conversation_arm=began_on)
    if began_on is None and resolution.in_analysis:
        where = (state.agent.name, resolution.rollout or "", caller.conversation)
        conversations.remember(*where, resolution.arm or "", now_microseconds)
    return resolution


def in_lane(lanes: Lanes, asked: Asked, resolution: Resolution | None, unapplied: Resolution | None = None) -> Resolved:
    """A call with the lane it goes in. Raises BadInput where it has no provider to go to (see Providers.choose)."""
    caller = asked.caller
    passed = None if unapplied is None else Passed(caller.agent_name, unapplied.label)
    lane = lanes.of(resolution, asked.route, passed)
    return Resolved(lane, lane.facts_of(caller, asked.request), resolution, unapplied)


def embedding_in_lane(lanes: Lanes, asked: Asked, resolution: Resolution) -> Resolved:
    """As `in_lane`, of a call for embeddings: a version is in force there that names a model for them, any other is not."""
    if resolution.version.bundle.model.embeddings is None:
        return in_lane(lanes, asked, None, resolution)
    return in_lane(lanes, asked, resolution)


def _conversation_arm(
    caller: Caller, conversation: str, state: AgentState, conversations: Conversations, now_microseconds: int
) -> str | None:
    if caller.pin is not None or not state.rollouts:
        return None
    rollout = state.rollouts.get(caller.label or state.agent.default_label)
    if rollout is None:
        return None
    return conversations.arm(state.agent.name, rollout.id, conversation, now_microseconds)
