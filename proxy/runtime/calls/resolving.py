"""The resolve step: which version a call gets (core decides), which arm its conversation began on, and the lane it goes in."""

from proxy.core.calls.caller import Caller
from proxy.core.calls.chains import ChainBeginning, held_version
from proxy.core.calls.resolution import Resolution
from proxy.core.calls.resolving import resolve
from proxy.core.errors import Unavailable
from proxy.core.names import RESERVED_LABEL
from proxy.core.snapshot import AgentState
from proxy.core.versions.versions import Version
from proxy.runtime.calls.conversations import Chains, Conversations
from proxy.runtime.calls.lanes import Lanes, Passed
from proxy.runtime.calls.stages import Asked, Resolved
from proxy.runtime.state.live_snapshot import LiveSnapshot


async def named_version(caller: Caller, live: LiveSnapshot, chains: Chains, now_microseconds: int) -> Version | None:
    """The version that a caller pinned, or that its chain is held to: all of resolving that may have to be waited for. None: there is
    none. Raises Unavailable, of a pin alone: a chain whose version cannot be read goes on with what its label serves."""
    state = None if caller.agent is None else live.agent(caller.agent)
    if state is None:
        return None
    if caller.chain is not None:
        # From here on what is known of it is known in this process.
        await chains.find(state.agent.name, caller.chain, now_microseconds)
    if caller.pin is not None:
        return await live.version(state, caller.pin)
    held = _held(state, _label_of(caller, state), _beginning(caller, state, chains, now_microseconds))
    if held is None:
        return None
    try:
        return await live.version(state, held)
    except Unavailable:
        return None


def version_in_force(
    caller: Caller, state: AgentState, named: Version | None, conversations: Conversations, now_microseconds: int
) -> Resolution:
    """The version of a call that one is in force on; a conversation stays on the arm it began on, a chain on its version. `named`: as
    `named_version` says. Raises NotFound as core's `resolve`."""
    if caller.chain is not None:
        return _of_chain(caller, state, named, conversations, now_microseconds)
    if caller.conversation is None:
        return resolve(state, caller, pinned=named)
    return _of_conversation(caller, caller.conversation, state, named, conversations, now_microseconds)


def beginning_of(resolution: Resolution | None) -> ChainBeginning | None:
    """Where a chain began that this call begins, or goes on with; None: it was given no version, or one that no label gives."""
    if resolution is None:
        return None
    label, version, began = resolution.label, resolution.version, resolution.began
    if began is not None and (began.version == version.number or resolution.reason == "fallback"):
        return began
    if label is None or label == RESERVED_LABEL or resolution.reason == "fallback":
        return None
    return ChainBeginning(version.agent, label, version.number, resolution.rollout, resolution.arm)


def _of_chain(
    caller: Caller, state: AgentState, named: Version | None, conversations: Conversations, now_microseconds: int
) -> Resolution:
    began = _beginning(caller, state, conversations.chains, now_microseconds)
    label = _label_of(caller, state)
    rollout = state.rollouts.get(label)
    if caller.pin is not None:
        resolution = resolve(state, caller, pinned=named)
    elif (held := _held(state, label, began)) is not None and named is not None and named.number == held:
        resolution = resolve(state, caller, held=named)
    elif began is not None and rollout is not None and rollout.id == began.rollout:
        resolution = resolve(state, caller, conversation_arm=began.arm)
    elif caller.conversation is not None:
        resolution = _of_conversation(caller, caller.conversation, state, None, conversations, now_microseconds)
    else:
        resolution = resolve(state, caller)
    resolution.began = began
    return resolution


def _beginning(caller: Caller, state: AgentState, chains: Chains, now_microseconds: int) -> ChainBeginning | None:
    """Where the chain began that a caller goes on with, by the label that it asks for."""
    if caller.chain is None:
        return None
    began = chains.beginning(state.agent.name, caller.chain, now_microseconds)
    return None if began is None or began.label != _label_of(caller, state) else began


def _held(state: AgentState, label: str, began: ChainBeginning | None) -> int | None:
    serving = state.labels.get(label)
    if began is None or serving is None:
        return None
    return held_version(began, serving, state.rollouts.get(label))


def _label_of(caller: Caller, state: AgentState) -> str:
    return caller.label or state.agent.default_label


def _of_conversation(
    caller: Caller,
    conversation: str,
    state: AgentState,
    pinned: Version | None,
    conversations: Conversations,
    now_microseconds: int,
) -> Resolution:
    began_on = _conversation_arm(caller, conversation, state, conversations, now_microseconds)
    resolution = resolve(state, caller, pinned=pinned, conversation_arm=began_on)
    if began_on is None and resolution.in_analysis:
        where = (state.agent.name, resolution.rollout or "", conversation)
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
    rollout = state.rollouts.get(_label_of(caller, state))
    if rollout is None:
        return None
    return conversations.arm(state.agent.name, rollout.id, conversation, now_microseconds)
