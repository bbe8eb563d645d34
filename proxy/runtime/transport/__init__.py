"""What passes between a call and its provider: the call, the reply and the answer as the conductor sees them, header fields,
codings, and the upstream itself.

What belongs here: bytes and fields on their way, and the one module that meets http1 (upstream.py). What does not: whose call it
is and what becomes of it (runtime/calls). It may import providers.
"""
