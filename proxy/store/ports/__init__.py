"""What the rest asks of a store: the promises every store keeps.

Not here: how they are kept. May import core alone.
"""
