"""The SQL of runs: batches in, lists out, lanes and segments between.

Not here: what a run is (core/calls). May import ports/, rows/ and statements/.
"""
