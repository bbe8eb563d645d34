"""Headers of every answer of the admin listener, refusals of what is no HTTP included."""

from aiohttp import hdrs, web

_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """For the application's signal: what an answer has before it is sent."""
    add_security_headers(response)


def add_security_headers(response: web.StreamResponse) -> None:
    """Security headers, and nothing about the software but its name."""
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers[hdrs.SERVER] = "switchback"
