"""Looks at the files of the certificate from time to time, so that a renewed one is shown without a restart."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

from proxy.runtime.process.clock import Clock
from proxy.runtime.process.event_line import event_line

_INTERVAL_SECONDS = 2.0


class Certificate(Protocol):
    """What is watched."""

    def renew(self) -> bool: ...


class CertificateWatch:
    """Renews a certificate and says so in the log, once for each time its files change."""

    def __init__(self, certificate: Certificate, write_log: Callable[[bytes], object], clock: Clock) -> None:
        self._certificate = certificate
        self._write_log = write_log
        self._clock = clock
        self._reason = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            await self.look()

    async def look(self) -> None:
        """One look; the files are read by another thread."""
        try:
            is_new = await asyncio.to_thread(self._certificate.renew)
        except OSError as error:
            reason = _reason(error)
            if reason != self._reason:
                self._reason = reason
                self._say("error", "certificate_unusable", f"the one shown before stays: {reason}")
            return
        self._reason = ""
        if is_new:
            self._say("info", "certificate_renewed", "its files changed")

    def _say(self, level: str, event: str, reason: str) -> None:
        self._write_log(event_line(self._clock.now_microseconds(), level, event, reason=reason))


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"certificate and key cannot be used together ({error.reason or 'not PEM'})"
    return f"a file cannot be read ({error.strerror})"
