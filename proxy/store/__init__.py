"""REMEMBERS. The Store protocol, its SQLite implementation, and the numbered migrations.

Belongs here: SQL, transactions, rows <-> core values. Does not belong here: deciding what a change is (runtime's
release_commands with core's rules), when a snapshot is swapped (runtime), provider formats (wires). Every store keeps the
promises written in store.py and passes the one contract suite in tests/store.
"""
