"""An LLM provider to run against: for the demo, the tests and the benchmarks.

It speaks the OpenAI and the Anthropic wire over real HTTP, enforces their rules, bills every call, and misbehaves on order
(`scenario.py` lists the orders). It imports nothing else of this package: its idea of the wires is its own, so that it
can contradict the proxy. Answers carry no wall clock and no chance: the same requests in the same order to a fresh
simulator get the same bytes.

`app.py` conducts a request through: record → wire reads it (`openai.py`, `anthropic.py`) → `answering.py` composes →
`recording.py` bills → `delivery.py` sends. `control.py` answers questions of other processes, `command.py` runs it.
"""
