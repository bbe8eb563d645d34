"""THINKS. Pure decisions: values in, values out.

Belongs here: what a version is, which version a call gets, what a call may spend, what a rollback does. Does not
belong here: clocks, randomness, files, sockets, logging (they are runtime's), provider formats (wires), SQL (store).
Time and identifiers arrive as arguments, so every rule is a table-driven test.
"""
