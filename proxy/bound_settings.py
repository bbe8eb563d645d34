"""The part of the settings that bounds: how much a call may hold, how long whom is waited for, how long what is kept.

Sections of settings.py: `limits`, `timeouts`, `retention`.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    """A part of the settings: as it was read, with no key that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class LimitSettings(Section):
    """Bounds of calls."""

    #: Output ceiling where a hard cap applies and neither version nor caller set one.
    max_output_tokens: Annotated[int, Field(ge=1)] = 4096
    body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 32 * 1024 * 1024
    #: Of all request bodies that a process holds at once, those under way included.
    buffered_bytes: Annotated[int, Field(ge=1024, le=1 << 40)] = 512 * 1024 * 1024
    #: Of one request; `structure_bytes` beside its long texts.
    messages: Annotated[int, Field(ge=1, le=100_000)] = 20_000
    tools: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    structure_bytes: Annotated[int, Field(ge=1024 * 1024, le=1 << 30)] = 12 * 1024 * 1024
    connections: Annotated[int, Field(ge=1)] = 10_000


class TimeoutSettings(Section):
    """Deadlines of the data plane: towards clients, then towards providers."""

    request_head_seconds: Seconds = 10
    request_body_idle_seconds: Seconds = 30
    request_body_seconds: Seconds = 300
    keep_alive_seconds: Seconds = 75
    slow_reader_seconds: Seconds = 60
    connect_seconds: Seconds = 5
    first_byte_seconds: Seconds = 600
    stream_idle_seconds: Seconds = 300
    drain_seconds: Seconds = 25


class RetentionSettings(Section):
    """For how many days what is kept. What goes leaves its sums."""

    #: Runs, with their attempts and outcomes, and latency counts.
    runs_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    #: The single holds of the spend ledger, after they ended.
    holds_days: Annotated[int, Field(ge=1, le=36_500)] = 7
