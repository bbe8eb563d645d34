"""Compressed bodies, read with a bound: a caller's gzip body before it is injected, a copy of a gzip answer for metering."""

import zlib
from collections.abc import Callable
from typing import Final

from proxy.core.errors import BadInput, TooLarge

MAX_INFLATED_BYTES: Final = 64 * 1024 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS


def plain_body(body: bytes, content_encoding: bytes | None) -> bytes:
    """The request body as the wire reads it.

    Raises BadInput(`bad_content_encoding`, 415 for an unknown one), TooLarge(`body_too_large`).
    """
    if content_encoding is None or content_encoding.lower() in (b"", b"identity"):
        return body
    if content_encoding.lower() != b"gzip":
        raise BadInput("bad_content_encoding", "the body's content-encoding must be gzip or none", status=415)
    inflater = zlib.decompressobj(_GZIP)
    try:
        plain = inflater.decompress(body, MAX_INFLATED_BYTES)
    except zlib.error:
        raise BadInput("bad_content_encoding", "the body is not valid gzip") from None
    if inflater.unconsumed_tail:
        raise TooLarge("body_too_large", f"the body inflates to more than {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof or inflater.unused_data:
        raise BadInput("bad_content_encoding", "the gzip body is cut short or followed by other bytes")
    return plain


def tap_of_copy(read: Callable[[bytes], object]) -> Callable[[bytes], bytes]:
    """A tap that passes gzip bytes on untouched and lets `read` see an inflated copy; unreadable ones it cannot see."""
    inflater = zlib.decompressobj(_GZIP)
    is_readable = True

    def tap(piece: bytes) -> bytes:
        nonlocal is_readable
        if is_readable:
            try:
                read(inflater.decompress(piece))
            except zlib.error:
                is_readable = False
        return piece

    return tap
