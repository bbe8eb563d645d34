"""Calls that the proxy makes itself, on the path that all calls take and beside everything that is counted of users.

What belongs here: a second data path over the same snapshot and code, whose money, metrics and records are its own; the synthetic
calls of a drill; who answers them. What does not: when a drill is held and what becomes of it (runtime/rollouts). May import the
rooms that a data path is put together from.
"""
