"""The ways a call or a command is refused, each with its HTTP status and a stable code.

    Refusal                     base: status, code, message, param, retry_after_seconds
    ├── BadInput         400    the caller can mend it
    ├── Unauthorized     401    no or wrong token
    ├── CapReached       402    hard spend limit (no SDK retries 402)
    ├── Forbidden        403    kill switch, role
    ├── NotFound         404    unknown agent, version, label, ...
    ├── Conflict         409    somebody else was first
    ├── TooLarge         413
    ├── Limited          429    passes within a minute: carries retry_after_seconds <= 30
    ├── UpstreamFailed   502    the provider could not be reached or broke the protocol (504 for a deadline)
    └── Unavailable      503    ours: draining, store away

Wires render them in the provider's own error shape, the admin API as problem+json. Messages tell people what to do
and never contain a key, a prompt or a provider's raw text.
"""

from typing import ClassVar


class Refusal(Exception):
    """A call or command is refused: `status` is the HTTP status, `code` is stable, `message` is for people."""

    default_status: ClassVar[int] = 500

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        param: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = self.default_status if status is None else status
        self.param = param
        self.retry_after_seconds = retry_after_seconds


class BadInput(Refusal):
    default_status = 400


class Unauthorized(Refusal):
    default_status = 401


class CapReached(Refusal):
    default_status = 402


class Forbidden(Refusal):
    default_status = 403


class NotFound(Refusal):
    default_status = 404


class Conflict(Refusal):
    default_status = 409


class TooLarge(Refusal):
    default_status = 413


class Limited(Refusal):
    default_status = 429


class UpstreamFailed(Refusal):
    default_status = 502


class Unavailable(Refusal):
    default_status = 503
