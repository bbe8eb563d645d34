"""What goes to the process that judges, and what comes back: values in MessagePack, each behind its length of four bytes.

The far end is a process of ours, which reads one job, answers it, and reads the next.
"""

from typing import Final

import msgspec

from proxy.core.versions.judging import Verdict
from proxy.core.versions.validators import Validator

LENGTH_BYTES: Final = 4
#: What one answer may take.
CPU_SECONDS: Final = 1.0
TOO_LONG: Final = Verdict(None, f"judging it takes more than {CPU_SECONDS:g} s")


class Job(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One finished answer, as its wire's reader saw it."""

    wire: str
    answer: bytes
    validators: tuple[Validator, ...]


_encoder = msgspec.msgpack.Encoder()
_job: msgspec.msgpack.Decoder[Job] = msgspec.msgpack.Decoder(Job)
_verdict: msgspec.msgpack.Decoder[Verdict] = msgspec.msgpack.Decoder(Verdict)


def framed(value: Job | Verdict) -> bytes:
    """The value behind its length."""
    body = _encoder.encode(value)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def job_of(body: bytes) -> Job:
    """Raises msgspec.DecodeError."""
    return _job.decode(body)


def verdict_of(body: bytes) -> Verdict:
    """Raises msgspec.DecodeError."""
    return _verdict.decode(body)
