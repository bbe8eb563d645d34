"""TRANSLATES. Pure: a folder a provider wire; bytes <-> core values.

Belongs here: where a format keeps its system prompt, its tools, its usage; how it writes an error. Does not belong here:
which version applies (core), sockets and time (runtime). Wires do not import each other; what they share is the protocol
(wire.py), raw JSON (json/), and how a version meets a request and an answer is read (shared/). A wire's folder has `wire.py` (the
wire itself), `request.py` (injecting), `input.py` (how much input at most), `answer.py` (reading) and `shapes.py` (what an answer
is decoded into). The visible list of wires is every_wire.py.
"""
