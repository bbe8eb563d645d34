"""THINKS. Pure decisions: values in, values out.

Belongs here: what a version is, which version a call gets, what a call may spend, what a rollback does. Does not
belong here: clocks, randomness, files, sockets, logging (they are runtime's), provider formats (wires), SQL (store).
Time and identifiers arrive as arguments, so every rule is a table-driven test.

    *.py         the ground everybody stands on, and the snapshot traffic is decided on
    versions/    components, prompts, versions, what differs between them
    spending/    prices, usage, caps, the ledger's rows, leases
    releasing/   releases, protection, proposals, what was served when
    calls/       caller, identity, resolving, runs and outcomes
    proof/       audit, its proof, emergency orders, the last known good state

A value's JSON document, which the admin API answers and the audit log keeps, stands beside the value: times are RFC 3339, money is
US dollars where people set or read it, members carry the same names everywhere. Which room may import which is a table in
tests/test_architecture.py.
"""
