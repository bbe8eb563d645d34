"""A resolution: the version a call gets, and why. How it is found is resolving.py."""

from dataclasses import dataclass
from typing import Final, Literal

from proxy.core.calls.caller import SubjectKind
from proxy.core.calls.chains import ChainBeginning
from proxy.core.versions.versions import Version

Reason = Literal["pinned", "pinned_user", "label", "rollout", "conversation", "fallback"]
#: The reason of a call of an agent on which no version is in force.
PASSED_THROUGH: Final = "passed_through"


@dataclass(init=False, slots=True)
class Resolution:
    """The version a call gets, and why. `arm` and `bucket` are None without a rollout (bucket also without a subject)."""

    version: Version
    reason: Reason
    label: str | None
    release: int | None
    rollout: str | None
    step: int | None
    arm: str | None
    bucket: int | None
    subject_kind: SubjectKind
    #: Whether this run is evidence in the rollout's analysis.
    in_analysis: bool
    #: Where the chain began that the call goes on with; None: it goes on with none, or nobody knows.
    began: ChainBeginning | None

    def __init__(
        self,
        *,
        version: Version,
        reason: Reason,
        label: str | None = None,
        release: int | None = None,
        rollout: str | None = None,
        step: int | None = None,
        arm: str | None = None,
        bucket: int | None = None,
        subject_kind: SubjectKind = "none",
        in_analysis: bool = False,
        began: ChainBeginning | None = None,
    ) -> None:
        self.version = version
        self.reason = reason
        self.label = label
        self.release = release
        self.rollout = rollout
        self.step = step
        self.arm = arm
        self.bucket = bucket
        self.subject_kind = subject_kind
        self.in_analysis = in_analysis
        self.began = began
