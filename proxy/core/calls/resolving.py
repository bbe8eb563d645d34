"""Which version a call gets: pin, else rollout arm of the label, else the label's version, else an error.

`resolve` reads one immutable AgentState and never waits. The answer carries the reason, so that any decision can be
explained from the response headers and the run record alone. The answer itself is resolution.py.
"""

from proxy.core.bucketing import bucket_of
from proxy.core.calls.caller import Caller
from proxy.core.calls.resolution import Reason, Resolution
from proxy.core.errors import NotFound
from proxy.core.names import RESERVED_LABEL
from proxy.core.releasing.releases import STABLE
from proxy.core.snapshot import AgentState, Arm, Label, Rollout
from proxy.core.versions.versions import Version


def resolve(
    state: AgentState,
    caller: Caller,
    *,
    pinned: Version | None = None,
    conversation_arm: str | None = None,
    held: Version | None = None,
) -> Resolution:
    """Resolve one call.

    `pinned` is the loaded version for a caller with a pin (None: it does not exist); `conversation_arm` is the arm this
    conversation began on, where the rollout still runs; `held` the version that its chain is held to (chains.py), outside of any
    analysis. Raises NotFound: `version_not_found`, `label_not_set`.
    """
    if caller.pin is not None:
        if pinned is None:
            raise _version_not_found(state, caller.pin)
        return Resolution(version=pinned, reason="pinned", subject_kind=caller.subject_kind)
    if caller.label == RESERVED_LABEL:
        return _newest(state, caller)
    name = caller.label if caller.label is not None else state.agent.default_label
    label = state.labels.get(name)
    if label is None:
        raise NotFound(
            "label_not_set",
            f"the label {name!r} of agent {state.agent.name!r} is not set; set it with "
            f"`switchback label {state.agent.name} {name} VERSION`",
            param="label",
        )
    rollout = state.rollouts.get(name)
    if rollout is None or held is not None:
        return Resolution(
            version=_version(state, label.version) if held is None else held,
            reason="label" if held is None else "conversation",
            label=name,
            release=label.release,
            subject_kind=caller.subject_kind,
        )
    return _in_rollout(state, caller, label, rollout, conversation_arm)


def pick_arm(rollout: Rollout, bucket: int) -> Arm:
    """The arm whose ranges hold the bucket; the first arm (stable) where none does."""
    for arm in rollout.arms:
        if arm.holds(bucket):
            return arm
    return rollout.arms[0]


def _in_rollout(
    state: AgentState, caller: Caller, label: Label, rollout: Rollout, conversation_arm: str | None
) -> Resolution:
    subject = caller.subject
    is_eligible = not rollout.eligible or all(caller.tags.get(key) == tag for key, tag in rollout.eligible.items())
    bucket = None if subject is None else bucket_of(rollout.salt, subject)
    reason: Reason = "rollout"
    pinned_arm = None if conversation_arm is None else rollout.arm(conversation_arm)
    by_name = rollout.pinned_arm(caller.user)
    if by_name is not None:
        arm, reason, is_eligible = _named_arm(rollout, by_name), "pinned_user", False
    elif bucket is None or not is_eligible:
        arm = rollout.arm(STABLE) or rollout.arms[0]
    elif pinned_arm is not None:
        arm, reason = pinned_arm, "conversation"
    else:
        arm = pick_arm(rollout, bucket)
    return Resolution(
        version=_version(state, arm.version),
        reason=reason,
        label=label.name,
        release=label.release,
        rollout=rollout.id,
        step=rollout.step,
        arm=arm.name,
        bucket=bucket,
        subject_kind=caller.subject_kind,
        in_analysis=bucket is not None and is_eligible,
    )


def _named_arm(rollout: Rollout, name: str) -> Arm:
    """The arm a plan pins a user to; stable while that arm has no share of anybody's traffic."""
    arm = rollout.arm(name)
    return rollout.arms[0] if arm is None or not arm.ranges else arm


def _newest(state: AgentState, caller: Caller) -> Resolution:
    if not state.agent.allow_latest:
        raise NotFound(
            "latest_not_allowed",
            f"agent {state.agent.name!r} does not serve @latest; name a version or a label",
            param="label",
        )
    version = _version(state, state.agent.newest)
    return Resolution(version=version, reason="label", label=RESERVED_LABEL, subject_kind=caller.subject_kind)


def _version(state: AgentState, number: int) -> Version:
    version = state.versions.get(number)
    if version is None:
        raise _version_not_found(state, number)
    return version


def _version_not_found(state: AgentState, number: int) -> NotFound:
    return NotFound(
        "version_not_found",
        f"agent {state.agent.name!r} has no version {number}; the newest is {state.agent.newest}",
        param="version",
    )
