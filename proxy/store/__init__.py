"""REMEMBERS. What is asked of a store, the SQLite store, and the numbered migrations.

    ports/       what the rest asks of a store, a protocol a subject
    rows/        rows <-> core values, shared by every SQL store
    sqlite/      the default store
    files/       what is kept beside the store
    migrations/  a folder an engine

Belongs here: SQL, transactions, rows <-> core values. Does not belong here: deciding what a change is (runtime's
release_commands with core's rules), when a snapshot is swapped (runtime), provider formats (wires). Every store keeps the
promises written in ports/ and passes the one contract suite in tests/store.
"""
