"""JSON bodies as raw bytes: values, members, items, edits; what is not edited keeps its bytes.

Not here: anything about a provider. May import nothing else of wires.
"""
