"""Money under way: hold, send, settle; counters, leases, the ledger's writer, prices.

Not here: judging an amount (core/spending). May import process/ and providers.py.
"""
