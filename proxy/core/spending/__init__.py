"""Money and limits: prices, usage, caps with their windows, the rows of the ledger, the size of leases.

Not here: what is spent and held at this moment (runtime/spending). May import core's ground.
"""
