"""FRAMES. HTTP/1.1 on asyncio transports and llhttp: bytes, framing and limits, nothing of what they carry.

Two halves that meet in one place, the relay:

* `listener.py` accepts clients: an `HttpCall` and an `HttpReply` per request (`client_connection.py`, `request_head.py`, `reply.py`; over TLS
  `tls_accepting.py`);
* `upstream.py` sends requests on: an `HttpAnswer` per request (`upstream_connection.py`, `answer.py`, `pool.py`, `dial.py`,
  `tls.py`, `egress.py`, `origin.py`).

Both share `message.py`, `limits.py`, `outgoing.py`, `sockets.py` and `errors.py`. Nothing here imports another part of the package.
"""
