"""A resolution: the version a call gets, and why. How it is found is resolving.py."""

from typing import Literal

import msgspec

from proxy.core.caller import SubjectKind
from proxy.core.versions import Version

Reason = Literal["pinned", "label", "rollout", "conversation", "fallback"]


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The version a call gets, and why. `arm` and `bucket` are None without a rollout (bucket also without a subject)."""

    version: Version
    reason: Reason
    label: str | None = None
    release: int | None = None
    rollout: str | None = None
    step: int | None = None
    arm: str | None = None
    bucket: int | None = None
    subject_kind: SubjectKind = "none"
    #: Whether this run is evidence in the rollout's analysis.
    in_analysis: bool = False
