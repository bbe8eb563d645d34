"""TRANSLATES. Pure: one provider wire format a file; bytes <-> core values.

Belongs here: where a format keeps its system prompt, its tools, its usage; how it writes an error. Does not belong here:
which version applies (core), sockets and time (runtime). Wires do not import each other; what they share is the protocol
(wire.py), raw JSON members (json_members.py) and the server-sent-events splitter (event_stream.py). The visible list of
wires is in server.py, the composition root.
"""
