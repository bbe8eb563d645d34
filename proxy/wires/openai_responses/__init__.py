"""OpenAI Responses: its paths, injecting a version, bounding the input, reading answers.

Not here: what other wires do alike (shared/). Imports no other wire.
"""
