"""Changes of what traffic gets: the ledger of releases, protection of labels, proposals, what was served when.

Not here: carrying a change out (runtime/releasing). May import core's ground, spending, versions and the snapshot.
"""
