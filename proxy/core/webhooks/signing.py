"""Signatures as Standard Webhooks has them (standardwebhooks.com, version 1), and the times at which a delivery is tried.

Formula: `webhook-signature: v1,BASE64(HMAC-SHA256(secret, id + "." + timestamp + "." + body))`; the secret is `whsec_` and base64 of
24 to 64 bytes; `webhook-timestamp` is in seconds since 1970. A receiver compares, and refuses what is older than some minutes.

Decision: written here and not taken from the library of that name: it is twenty lines over `hmac`, and the library brings
httpx, attrs and python-dateutil. The vector of its own tests is one of ours.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

_PREFIX: Final = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64
#: Between one try and the next; after the last one it is a dead letter, after two days and some hours.
PAUSES_SECONDS: Final = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000)


def secret_bytes(secret: str) -> bytes:
    """The key in a secret. Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"must be {_PREFIX} and base64 of {_LEAST_BYTES} to {_MOST_BYTES} random bytes")
    return key


def signature(key: bytes, message_id: str, timestamp_seconds: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = f"{message_id}.{timestamp_seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def pause_seconds(tries: int) -> int | None:
    """How long after the try of that number (from 1) the next one is; None: there is none."""
    return PAUSES_SECONDS[tries - 1] if tries <= len(PAUSES_SECONDS) else None
