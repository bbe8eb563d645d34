"""What is told of calls afterwards: metrics, series, the run log, and runs on their way to the store.

Not here: what a run is (core/calls). May import process/.
"""
