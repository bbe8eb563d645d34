"""One call: who makes it, which version it gets and why, and the run it becomes with its outcomes.

Not here: what it costs (spending), switches and scopes (ground). May import every room of core but proof.
"""
