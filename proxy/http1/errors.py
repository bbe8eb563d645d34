"""What can go wrong, as types with closed sets of reasons.

No text here ever carries a URL, a header or a byte from the wire: reasons are names that may be logged and counted.
"""

from typing import Literal

Reason = Literal[
    "dns",  # the name has no address, or the resolver failed
    "connect_refused",
    "connect_timeout",  # DNS, TCP, CONNECT and TLS did not all finish in time
    "connect_failed",  # any other failure to connect, the egress proxy's refusal included
    "tls",  # certificate, handshake
    "pool_exhausted",  # too many connections to this origin
    "reset",  # the connection broke
    "early_close",  # the peer closed before the answer was complete
    "stale",  # the peer had closed a kept connection before anything of the request reached it
    "bad_framing",  # not HTTP/1.x, or its length cannot be trusted
    "header_limits",  # the answer's head is larger than allowed
    "bad_status",  # 101, or outside 200 to 599
    "first_byte_timeout",
    "idle_timeout",
    "write_timeout",
    "answer_too_large",  # more than the reader asked for
    "closed",  # the answer or the client was closed on this side
]


class UpstreamError(Exception):
    """An upstream did not give a complete, well-formed answer."""

    def __init__(
        self, reason: Reason, *, request_sent: bool, answer_begun: bool, connection_kept: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.request_sent = request_sent
        """Any byte of the request may have reached the upstream."""
        self.connection_kept = connection_kept
        """The connection had served a request before, and broke without a byte of an answer to this one."""
        self.answer_begun = answer_begun
        """A complete head was received."""


class ClientGone(Exception):
    """The client can no longer be answered; the upstream connection was aborted."""

    def __init__(self, *, request_sent: bool) -> None:
        super().__init__()
        self.request_sent = request_sent
        """Any byte of the request may have reached the upstream."""


class UnfinishedReply(Exception):
    """A handler returned without finishing or aborting its reply."""
