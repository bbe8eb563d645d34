"""TRANSLATES. Pure: one provider wire format a file; bytes <-> core values.

Belongs here: where a format keeps its system prompt, its tools, its usage; how it writes an error. Does not belong here:
which version applies (core), sockets and time (runtime). Wires do not import each other; what they share is the protocol
(wire.py), raw JSON (json/values.py, json/members.py, json/items.py, json/edits.py), how a version meets a request
(version_parts.py, version_bytes.py), the server-sent-events splitter (event_stream.py) and the readers around it
(answer_reading.py, plain_deltas.py), bodies that are alike (alike_requests.py). A wire is `NAME.py`, with `NAME_request.py`
(injecting), `NAME_input.py` (how much input at most), `NAME_answer.py` (reading) and `NAME_shapes.py` (what an answer is decoded
into) beside it. The visible list of wires is in server.py, the composition root.
"""
