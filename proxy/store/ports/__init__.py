"""What the rest asks of a store, a protocol a subject: the promises every store keeps. Who needs of a store names the slices it uses.

Promises, beside those of single modules:
* Components, versions, releases, arms and audit entries are append-only, held by the schema itself. So is that a token
  changes only by its revocation and a proposal only by its decision, each of them once.
* An acknowledged change survives `kill -9`. Holds and leases are durable when `write_ledger` returns.
* What cannot be done because the database is locked, full, read-only or gone raises Unavailable(`store_unavailable`)
  within a few seconds; never a driver's exception.
* Lists are newest first where they have a time; `cursor` is a page's next_cursor. They raise BadInput(`bad_cursor`).

Not here: how they are kept. Implementations do not know each other. May import core alone.
"""
